"""One stage of training: run it, resume it, or start from another's weights."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader, Sampler

from handmesh_ros.errors import HandmeshError
from handmesh_ros.network.checkpoint import load_weights
from handmesh_ros.training.config import TrainingConfig
from handmesh_ros.training.data.augment import Augmenter
from handmesh_ros.training.data.composition.backgrounds import Backgrounds
from handmesh_ros.training.data.composition.twins import with_twins
from handmesh_ros.training.data.dataset import (
    HandDataset,
    LetterboxDataset,
    Source,
    amplitude_bank,
    collate,
)
from handmesh_ros.training.data.shards import ShardDataset, shard_files
from handmesh_ros.training.engine.checkpoint_io import WholeCheckpointIO
from handmesh_ros.training.engine.trainer import HandTrainer, ResumableSampler

logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
    lambda record: "💡 Tip" not in str(record.msg)  # Lightning's advertisements
)


class HandData(lightning.LightningDataModule):
    """Loaders over shard folders; resumes in the middle of an epoch.

    Args:
        config: of the run.
        data_dir: folder that the configured paths are relative to.
    """

    def __init__(self, config: TrainingConfig, data_dir: Path):
        super().__init__()
        self.config, self.data_dir = config, data_dir

    def train_dataloader(self) -> DataLoader:
        """Endless augmented samples, cut into epochs of `epoch_steps` batches."""
        trainer = self.trainer
        assert trainer is not None
        batch_size, world = self.config.optimisation.batch_size, trainer.world_size
        epoch_size = self.config.epoch_steps * batch_size * world
        sampler = ResumableSampler(
            epoch_size,
            lambda: trainer.global_step * batch_size * world,
            trainer.global_rank,
            world,
        )
        return self.loader_of(epoch_size, sampler)

    def loader_of(self, length: int, sampler: Sampler[int] | None = None) -> DataLoader:
        """Batches of `length` augmented samples.

        Args:
            length: samples.
            sampler: of their indices; None takes them in order.
        """
        data = self.config.data
        dataset = HandDataset(
            [Source(ShardDataset(self.data_dir / s.path), s.weight) for s in data.train],
            length=length,
            size=self.config.network.input_size,
            augmenter=self._augmenter(),
            mosaic=data.mosaic,
            empty=data.empty,
            seed=self.config.seed,
        )
        batch_size = self.config.optimisation.batch_size
        return self._loader(dataset, batch_size, sampler=sampler, drop_last=True)

    def _augmenter(self) -> Augmenter:
        data = self.config.data
        spectra = (
            amplitude_bank(ShardDataset(self.data_dir / data.spectra)) if data.spectra else None
        )
        folders = [self.data_dir / folder for folder in data.backgrounds]
        return Augmenter(data.augment, Backgrounds(folders), spectra)

    def on_after_batch_transfer(
        self, batch: dict[str, torch.Tensor], dataloader_idx: int
    ) -> dict[str, torch.Tensor]:
        """Add the twins of a training batch, on the device; repeats in a resumed run."""
        trainer = self.trainer
        assert trainer is not None
        if not (self.config.data.twins and trainer.training):
            return batch
        return with_twins(batch, torch.Generator().manual_seed(trainer.global_step))

    def val_dataloader(self) -> list[DataLoader]:
        """Every validation folder as the runtime would see it."""
        size = self.config.network.input_size
        return [
            self._loader(LetterboxDataset(ShardDataset(self.data_dir / source.path), size), 16)
            for source in self.config.data.validation
        ]

    def _loader(self, dataset: Any, batch_size: int, **options: Any) -> DataLoader:
        workers = self.config.data.workers
        return DataLoader(
            dataset,
            batch_size,
            num_workers=workers,
            collate_fn=collate,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_one_thread,
            **options,
        )


def _one_thread(worker: int) -> None:
    """Keep the libraries of a loader process from starting threads of their own."""
    import cv2

    torch.set_num_threads(1)
    cv2.setNumThreads(0)


class _LastStep(lightning.Callback):
    """Saves the last step, which need not be one of those that checkpoints are written at.

    Args:
        path: of the checkpoint.

    Attributes:
        has_begun: whether everything is restored that a checkpoint to go on from holds.
    """

    def __init__(self, path: Path):
        self.path, self.has_begun = path, False

    def on_train_start(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        """Note that training begins."""
        self.has_begun = True

    def on_train_batch_end(self, trainer: lightning.Trainer, *arguments: Any) -> None:
        """Save when training is complete."""
        if trainer.global_step == trainer.max_steps:
            trainer.save_checkpoint(self.path)


def make_trainer_module(config: TrainingConfig, pretrained: bool) -> HandTrainer:
    """Return the network with its losses and its optimiser's settings.

    Args:
        config: of the run.
        pretrained: start the trunk from published weights.
    """
    opt = config.optimisation
    return HandTrainer(
        network=config.network,
        weights=config.losses,
        learning_rate=opt.learning_rate,
        trunk_rate=opt.trunk_rate,
        weight_decay=opt.weight_decay,
        warmup_steps=opt.warmup_steps,
        total_steps=opt.steps,
        frozen_stages=opt.frozen_stages,
        only=opt.only,
        pretrained=pretrained,
        fused=opt.precision == "32-true",
    )


def check_data(config: TrainingConfig, data_dir: Path) -> None:
    """Check that everything is there that a run reads, before anything is started.

    Args:
        config: of the run.
        data_dir: folder that the configured paths are relative to.

    Raises:
        HandmeshError: a folder holds no shards or no photographs, or there is nothing to train on.
    """
    data = config.data
    if not data.train:
        raise HandmeshError(f"{config.name} has no training data: list folders in data.train.")
    for path in (*(source.path for source in (*data.train, *data.validation)), data.spectra):
        if path:
            shard_files(data_dir / path)
    Backgrounds([data_dir / folder for folder in data.backgrounds])


def _trainer(
    config: TrainingConfig,
    output: Path,
    callbacks: list[lightning.Callback],
    *,
    devices: str,
    nodes: int,
    max_steps: int,
    max_minutes: float | None,
) -> lightning.Trainer:
    """Return Lightning's trainer.

    Raises:
        HandmeshError: the machine or the batch job gives other devices or tasks than asked for.
    """
    opt = config.optimisation
    several = devices not in ("auto", "1") or nodes > 1
    try:
        trainer = lightning.Trainer(
            default_root_dir=output,
            accelerator="auto",
            devices=devices if devices == "auto" else int(devices),
            num_nodes=nodes,
            strategy="ddp" if several else "auto",
            use_distributed_sampler=False,
            precision=opt.precision,
            max_epochs=-1,
            max_steps=max_steps,
            max_time=timedelta(minutes=max_minutes) if max_minutes else None,
            gradient_clip_val=opt.gradient_clip or None,
            log_every_n_steps=20,
            callbacks=callbacks,
            plugins=[WholeCheckpointIO()],
            logger=[
                TensorBoardLogger(output, name="tensorboard", version=""),
                CSVLogger(output, name="csv"),
            ],
            num_sanity_val_steps=0,
        )
        environment = getattr(trainer.strategy, "cluster_environment", None)
        if (
            environment is not None
        ):  # Lightning asks it later, among errors of the training itself.
            environment.validate_settings(num_devices=trainer.num_devices, num_nodes=nodes)
        return trainer
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise HandmeshError(
            f"Training cannot start with --devices {devices} and --nodes {nodes} ({reason}): give "
            "the numbers that this machine or the batch job has, one task for each device."
        ) from error


def train(
    config: TrainingConfig,
    data_dir: Path,
    output: Path,
    *,
    devices: str = "auto",
    nodes: int = 1,
    max_steps: int | None = None,
    max_minutes: float | None = None,
) -> Path:
    """Train until `steps` are done; continues from `output`/last.ckpt when it is there.

    Args:
        config: of the run.
        data_dir: folder that the configured shard folders are relative to.
        output: folder for checkpoints and logs.
        devices: Lightning's: "auto", or a number of processes.
        nodes: number of machines (started by torchrun or SLURM).
        max_steps: stop earlier than configured, for a try.
        max_minutes: stop after this long; the next call goes on from the last checkpoint.

    Returns:
        the last checkpoint.

    Raises:
        HandmeshError: data are missing or broken, the loss became not a number, a checkpoint
            cannot be written or is of other settings, or there are no such devices.
        KeyboardInterrupt: Ctrl-C or SIGTERM.
    """
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    opt = config.optimisation
    last = output / "last.ckpt"
    pretrained = opt.pretrained and not config.start_from and not last.exists()
    module = make_trainer_module(config, pretrained)
    if config.start_from and not last.exists():
        load_weights(module.network, config.start_from)
    module = module.to(memory_format=torch.channels_last)
    callbacks: list[lightning.Callback] = [
        ModelCheckpoint(
            output,
            save_last=True,
            save_top_k=0,
            every_n_train_steps=config.checkpoint_steps,
            enable_version_counter=False,
        ),
        LearningRateMonitor("step"),
        TQDMProgressBar(refresh_rate=20),
    ]
    if opt.ema_decay > 0:
        callbacks.append(EMAWeightAveraging(decay=opt.ema_decay, use_buffers=True))
    last_step = _LastStep(last)
    callbacks.append(last_step)
    trainer = _trainer(
        config,
        output,
        callbacks,
        devices=devices,
        nodes=nodes,
        max_steps=min(opt.steps, max_steps) if max_steps else opt.steps,
        max_minutes=max_minutes,
    )
    try:
        trainer.fit(module, HandData(config, data_dir), ckpt_path=last if last.exists() else None)
    except SystemExit as end:
        # By Ctrl-C or SIGTERM, which Lightning turns into an exit.
        if trainer.interrupted or trainer.received_sigterm:
            raise KeyboardInterrupt from end
        raise
    except (RuntimeError, ValueError, KeyError, IndexError) as error:
        if last_step.has_begun or not last.exists():
            raise
        reason = str(error).splitlines()[-1].strip(" \t.") or type(error).__name__
        raise HandmeshError(
            f"{last} is of other settings than these ({reason}): go on with those it was begun "
            "with, or give another --output."
        ) from error
    return last

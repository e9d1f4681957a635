"""The training loop's Lightning module, and the sampler that makes it resume exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.utils.data import Sampler

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.model import mirror_rotations
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.config import NetworkConfig
from handmesh_ros.network.heads import WINDOW, box_windows
from handmesh_ros.network.model import HandNetwork
from handmesh_ros.network.placement import place
from handmesh_ros.training.losses.lifting import lifting_loss, see_hands
from handmesh_ros.training.losses.supervised import (
    LossWeights,
    box_losses,
    centre_targets,
    empty_places,
    focal_loss,
    hand_centres,
    hand_losses,
    keypoint_targets,
    total_loss,
)
from handmesh_ros.training.losses.weak import WeakLosses

LIFTED = 16
"""Views without an image, per hand with 3D labels, that the lifter learns from."""

EMPTY_PLACES = 4
"""Places per image where there is no hand that the box head learns to tell apart."""


def jittered_windows(box: Tensor, shift: float, zoom: float, draws: torch.Generator) -> Tensor:
    """Return the windows (N, 3) of true boxes (N, 4), as far off as boxes found are.

    Args:
        box: x0, y0, x1, y1, pixels.
        shift: standard deviation of the middle, in box sizes.
        zoom: standard deviation of the size's logarithm.
        draws: where the random numbers come from.
    """
    window = box_windows(box)
    size = window[:, 2:] / WINDOW
    middle = window[:, :2] + size * shift * torch.randn(len(box), 2, generator=draws).to(box)
    zooms = torch.exp(zoom * torch.randn(len(box), 1, generator=draws)).to(box)
    return torch.cat([middle, window[:, 2:] * zooms], dim=1)


class ResumableSampler(Sampler[int]):
    """Endless indices 0, 1, 2, … cut into epochs, that go on where training stands.

    The data set derives every random choice from the index, so the position in this sequence is
    the whole state of data loading.

    Args:
        epoch_size: samples per epoch over all processes.
        position: tells how many samples all processes together have trained on.
        rank: of this process.
        world_size: number of processes.
    """

    def __init__(
        self,
        epoch_size: int,
        position: Callable[[], int] = lambda: 0,
        rank: int = 0,
        world_size: int = 1,
    ):
        self.epoch_size, self.position = epoch_size, position
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        return self.epoch_size // self.world_size

    def __iter__(self) -> Iterator[int]:
        start = self.position()
        end = (start // self.epoch_size + 1) * self.epoch_size
        yield from range(start + self.rank, end, self.world_size)


class HandTrainer(lightning.LightningModule):
    """Losses, optimiser and schedule around `HandNetwork`.

    Args:
        network: sizes of the network.
        weights: of the losses.
        learning_rate: peak, of the heads; the trunk's is `trunk_rate` times that.
        trunk_rate: factor.
        weight_decay: of AdamW, on matrices and filters only.
        warmup_steps: of a linear ramp, before the cosine to zero at `total_steps`.
        total_steps: optimiser steps of the whole run.
        frozen_stages: the trunk's first stages that keep their weights and statistics
            (0 none, 1 the stem, 2 also stride 4, and so on).
        only: train only the network's parameters whose names start so; the others keep their
            batch statistics, too. "" trains all.
        pretrained: start the trunk from published weights.
        fused: update all weights in one kernel; Lightning cannot clip gradients of mixed
            precision for that.

    Raises:
        HandmeshError: the loss is not a number, the trunk has no such weights, or no parameter's
            name starts with `only`.
    """

    def __init__(
        self,
        network: NetworkConfig,
        weights: LossWeights,
        learning_rate: float = 1e-3,
        trunk_rate: float = 0.3,
        weight_decay: float = 1e-2,
        warmup_steps: int = 200,
        total_steps: int = 10_000,
        frozen_stages: int = 0,
        only: str = "",
        pretrained: bool = True,
        fused: bool = True,
    ):
        super().__init__()
        self.save_hyperparameters({"network": asdict(network), "weights": asdict(weights)})
        self.network = HandNetwork(network, HandTemplate.bundled())
        if pretrained:
            self.network.backbone.load_pretrained()
        self.weights = weights
        self.weak_losses = WeakLosses(HandTemplate.bundled(), weights)
        self.learning_rate, self.trunk_rate = learning_rate, trunk_rate
        self.weight_decay, self.warmup_steps = weight_decay, warmup_steps
        self.total_steps, self.fused = total_steps, fused
        self.frozen = self.network.backbone.stage_modules()[:frozen_stages]
        if only:
            self.frozen = [self.network]
        for module in self.frozen:
            module.requires_grad_(False)
        chosen = [p for name, p in self.network.named_parameters() if name.startswith(only)]
        if not chosen:
            raise HandmeshError(
                f"No parameter of the network starts with {only!r}: optimisation.only is a name "
                "such as heads.color."
            )
        for parameter in chosen if only else ():
            parameter.requires_grad_(True)
        self.train()  # Lightning keeps the modes that it finds

    def train(self, mode: bool = True) -> HandTrainer:
        """Switch to training; what is frozen keeps its batch statistics."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def compute_losses(self, batch: dict[str, Tensor], jitter: bool) -> dict[str, Tensor]:
        """Run the network on a batch and compare it with the labels.

        Args:
            batch: as made by `handmesh_ros.training.data.dataset.collate`.
            jitter: read hands up to a cell beside their centres, as detections will, and in
                windows around their true boxes, as far off as boxes found; otherwise at their
                centres, in the windows that the network finds.

        Returns:
            the unweighted losses by name.
        """
        network, stride = self.network, self.network.config.stride
        heatmap_logits, maps, low_res_image = network.features(batch["image"])
        keypoint_logits = network.keypoint_head(maps[0]).float()
        heatmap_logits, maps = heatmap_logits.float(), [features.float() for features in maps]
        height, width = heatmap_logits.shape[2:]
        target, weight, trained = centre_targets(batch, height, width, stride)
        keypoint_target = keypoint_targets(batch, trained, height, width, stride)
        losses = {
            "centre": focal_loss(heatmap_logits, target, weight),
            "keypoint_heatmaps": focal_loss(keypoint_logits, keypoint_target, weight),
        }
        image = trained.nonzero()[:, 0]
        truth = {
            name: values[trained]
            for name, values in batch.items()
            if name not in ("image", "intrinsics", "mask")
        }
        centre, _ = hand_centres(truth["keypoints_2d"], width * stride, height * stride)
        centre = (torch.floor((centre + 0.5) / stride) + 0.5) * stride - 0.5
        draws = torch.Generator().manual_seed(self.global_step)
        if jitter:
            # Half of the time a neighbouring cell is read: peaks are not always at the centre.
            # The draws come from the step, so that a resumed run repeats them.
            shift = torch.randint(-1, 2, centre.shape, generator=draws)
            shift = shift * (torch.rand(len(centre), 1, generator=draws) < 0.5)
            centre = centre + shift.to(centre) * stride
        window_around = jittered_windows(truth["box"], 0.12, 0.25, draws) if jitter else None
        boxes = network.boxes_at(maps, image, centre, window_around)
        heatmaps = torch.sigmoid(heatmap_logits.detach())
        elsewhere, place_there = empty_places(heatmaps, batch, stride, EMPTY_PLACES)
        nothing = network.boxes_at(maps, elsewhere, place_there).quality_logit
        losses.update(box_losses(boxes, truth, nothing))
        is_right = truth["is_right"].float()
        if jitter:
            window = jittered_windows(truth["box"], 0.05, 0.1, draws)
        else:
            window = box_windows(boxes.box.detach())
        guess = network.hands_in(maps, low_res_image, image, window, is_right)
        found = network.lifter(guess, truth["hand_intrinsics"])
        hands = place(found, is_right, truth["hand_intrinsics"], network.hand_model)
        with torch.no_grad():
            rotations = truth["rotations"].float()
            # Hands without 3D labels carry zeros: any rotation will do, their weight is 0.
            rotations = torch.where(
                truth["has_3d"][:, None, None, None],
                rotations,
                torch.eye(3, device=rotations.device).expand_as(rotations),
            )
            true_vertices, _ = network.hand_model(rotations, truth["shape"], is_right)
        truth = dict(truth, rotations=rotations, colors=truth["colors"].float() / 255)
        losses.update(hand_losses(guess, found, hands, truth, true_vertices))
        losses.update(self.weak_losses(found, hands, truth, batch["image"], batch["mask"], image))
        losses["lifting"] = self._lifting(
            mirror_rotations(rotations, is_right)[truth["has_3d"]], draws
        )
        return losses

    def _lifting(self, rotations: Tensor, draws: torch.Generator) -> Tensor:
        """Return the lifter's loss on right hands (P, 16, 3, 3) seen from random sides."""
        if not self.weights.lifting or len(rotations) == 0:
            return rotations.new_zeros(())
        lifter = self.network.lifter
        seen = see_hands(lifter, rotations, LIFTED * len(rotations), draws)
        return lifting_loss(lifter, seen, self.weights)

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Return the weighted loss of a batch and log every term."""
        losses = self.compute_losses(batch, jitter=True)
        loss = total_loss(losses, self.weights)
        if not torch.isfinite(loss):
            broken = [name for name, value in losses.items() if not torch.isfinite(value)]
            raise HandmeshError(
                f"The loss is not a number at step {self.global_step} ({', '.join(broken)}): "
                "resume from the last checkpoint with a lower learning_rate."
            )
        self.log("loss", loss, prog_bar=True)
        self.log_dict({f"train/{name}": value for name, value in losses.items()})
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        """Log every term on unseen images."""
        losses = self.compute_losses(batch, jitter=False)
        count = len(batch["image"])
        self.log_dict({f"val/{name}": value for name, value in losses.items()}, batch_size=count)
        self.log("val_loss", total_loss(losses, self.weights), prog_bar=True, batch_size=count)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with a linear ramp and a cosine to zero, per step."""
        trunk = {id(parameter) for parameter in self.network.backbone.parameters()}
        groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
        for parameter in self.network.parameters():
            if parameter.requires_grad:
                key = (id(parameter) in trunk, parameter.ndim > 1)
                groups.setdefault(key, []).append(parameter)
        optimizer = torch.optim.AdamW(
            [
                {
                    "params": parameters,
                    "lr": self.learning_rate * (self.trunk_rate if in_trunk else 1),
                    "weight_decay": self.weight_decay if decays else 0.0,
                }
                for (in_trunk, decays), parameters in groups.items()
            ],
            fused=self.fused,
        )
        ramp = torch.optim.lr_scheduler.LinearLR(
            optimizer, 0.01, 1.0, total_iters=max(self.warmup_steps, 1)
        )
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, T_max=max(self.total_steps - self.warmup_steps, 1), eta_min=1e-6
        )
        schedule = torch.optim.lr_scheduler.SequentialLR(
            optimizer, [ramp, fall], milestones=[self.warmup_steps]
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

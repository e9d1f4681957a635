"""The training configuration: one YAML file per stage under config/training/."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

import yaml

from handmesh_ros.errors import HandmeshError
from handmesh_ros.network.config import NetworkConfig
from handmesh_ros.training.datasets.augment import AugmentOptions
from handmesh_ros.training.losses import LossWeights

T = TypeVar("T")


@dataclass(frozen=True)
class SourceConfig:
    """A folder of shards.

    Args:
        path: folder with .tar shards, relative to the data folder.
        weight: relative share of the training images.
    """

    path: str
    weight: float = 1.0


@dataclass(frozen=True)
class DataConfig:
    """Where samples come from.

    Args:
        train: folders of shards that are mixed.
        validation: folders of shards that the losses are measured on, by name.
        backgrounds: folders of photographs to put behind hands; none for drawn ones.
        spectra: a folder of shards whose photographs lend their amplitude spectra; "" for none.
        augment: how views and looks vary.
        mosaic: probability that an image is tiled from several samples.
        empty: probability of a background without hands.
        workers: processes that load and augment; 0 loads in the training process.
        twins: every loaded image is seen twice in its batch, which doubles: as it is, and mirrored
            in another light. For GPUs that are faster than the loader.
    """

    train: tuple[SourceConfig, ...] = ()
    validation: tuple[SourceConfig, ...] = ()
    backgrounds: tuple[str, ...] = ()
    spectra: str = ""
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    mosaic: float = 0.15
    empty: float = 0.0
    workers: int = 2
    twins: bool = False


@dataclass(frozen=True)
class OptimisationConfig:
    """How the weights move.

    Args:
        steps: optimiser steps of the whole run.
        batch_size: images loaded per step and process.
        learning_rate: peak of the heads' learning rate.
        trunk_rate: the trunk's share of it.
        weight_decay: of AdamW.
        warmup_steps: of the linear ramp.
        frozen_stages: leading trunk stages that are not trained.
        only: train only the network's parameters whose names start so, such as "heads.color"; ""
            trains all.
        pretrained: start the trunk from published weights.
        ema_decay: of the averaged weights that are validated and exported; 0 for none.
        precision: Lightning's: "32-true", "bf16-mixed", "16-mixed".
        gradient_clip: norm; 0 for none.
    """

    steps: int = 20_000
    batch_size: int = 16
    learning_rate: float = 1e-3
    trunk_rate: float = 0.3
    weight_decay: float = 1e-2
    warmup_steps: int = 200
    frozen_stages: int = 0
    only: str = ""
    pretrained: bool = True
    ema_decay: float = 0.998
    precision: str = "32-true"
    gradient_clip: float = 5.0


@dataclass(frozen=True)
class TrainingConfig:
    """One stage of training.

    Args:
        name: of the run and of the exported model.
        network: sizes of the network.
        losses: their weights.
        data: where samples come from.
        optimisation: how the weights move.
        epoch_steps: steps between validations.
        checkpoint_steps: steps between checkpoints.
        seed: of everything random.
        start_from: a checkpoint or exported run whose weights the run starts from.
    """

    name: str = "mobile"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    data: DataConfig = field(default_factory=DataConfig)
    optimisation: OptimisationConfig = field(default_factory=OptimisationConfig)
    epoch_steps: int = 500
    checkpoint_steps: int = 100
    seed: int = 0
    start_from: str = ""

    @classmethod
    def load(cls, path: str | Path, overrides: tuple[str, ...] = ()) -> TrainingConfig:
        """Read a YAML file.

        Args:
            path: of the file.
            overrides: "section.field=value" with YAML values, applied last.

        Raises:
            HandmeshError: the file cannot be read, or a field is unknown or of the wrong type.
        """
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except OSError as error:
            raise HandmeshError(
                f"Cannot read the training configuration {path}: {error.strerror}."
            ) from error
        except UnicodeDecodeError as error:
            raise HandmeshError(f"{path} is not a text file: give a YAML file.") from error
        except yaml.YAMLError as error:
            raise HandmeshError(f"{path} is not valid YAML: {error}.") from error
        for override in overrides:
            name, separator, value = override.partition("=")
            if not separator:
                raise HandmeshError(
                    f"The override {override!r} has no '=': write section.field=value."
                )
            *sections, last = name.split(".")
            place = content
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = yaml.safe_load(value)
        config = _build(cls, content, str(path))
        if config.network.input_height:
            raise HandmeshError(
                f"{path} sets network.input_height, but training images are square: leave it out, "
                "and give `handmesh export` --input-size WIDTHxHEIGHT."
            )
        return config


def _number(value: Any) -> Any:
    """Return whole numbers, and 6e-4 that YAML takes for text, as float; others as they are."""
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _build(kind: type[T], content: Any, where: str) -> T:
    """Make a dataclass of nested mappings, refusing unknown names and wrong types."""
    if not isinstance(content, dict):
        raise HandmeshError(f"{where} must be a mapping of names to values, not {content!r}.")
    hints = get_type_hints(kind)
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, value in content.items():
        if name not in names:
            raise HandmeshError(
                f"{where} has no setting {name!r}: choose among {', '.join(names)}."
            )
        hint, place = hints[name], f"{where}: {name}"
        if is_dataclass(hint):
            values[name] = _build(hint, value, place)  # type: ignore[arg-type]
        elif hint == tuple[SourceConfig, ...]:
            if not isinstance(value, list):
                raise HandmeshError(f"{place} must be a list of path and weight.")
            values[name] = tuple(_build(SourceConfig, entry, place) for entry in value)
        elif get_origin(hint) is tuple:
            if not isinstance(value, list):
                raise HandmeshError(f"{place} must be a list, not {value!r}.")
            values[name] = tuple(value)
        else:
            if hint is float:
                value = _number(value)
            if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
                raise HandmeshError(f"{place} is {value!r}: it must be of type {hint.__name__}.")
            values[name] = value
    return kind(**values)

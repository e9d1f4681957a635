"""The training configuration: one YAML file per stage under config/training/."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from handmesh_ros.common.files import parse_yaml
from handmesh_ros.errors import HandmeshError
from handmesh_ros.network.config import NetworkConfig
from handmesh_ros.training.data.augment import AugmentOptions
from handmesh_ros.training.losses.supervised import LossWeights
from handmesh_ros.training.ranges import AtLeastOne, Probability, Range, Weight

T = TypeVar("T")


@dataclass(frozen=True)
class SourceConfig:
    """A folder of shards.

    Args:
        path: folder with .tar shards, relative to the data folder.
        weight: relative share of the training images.
    """

    path: str
    weight: Weight = 1.0


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
    mosaic: Probability = 0.15
    empty: Probability = 0.0
    workers: Annotated[int, Range(0)] = 2
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

    steps: AtLeastOne = 20_000
    batch_size: AtLeastOne = 16
    learning_rate: Weight = 1e-3
    trunk_rate: Weight = 0.3
    weight_decay: Weight = 1e-2
    warmup_steps: Annotated[int, Range(0)] = 200
    frozen_stages: Annotated[int, Range(0, 5)] = 0
    only: str = ""
    pretrained: bool = True
    ema_decay: Annotated[float, Range(0, 0.999999)] = 0.998
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    gradient_clip: Weight = 5.0


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
    epoch_steps: AtLeastOne = 500
    checkpoint_steps: AtLeastOne = 100
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    start_from: str = ""

    @classmethod
    def load(cls, path: str | Path, overrides: tuple[str, ...] = ()) -> TrainingConfig:
        """Read a YAML file.

        Args:
            path: of the file.
            overrides: "section.field=value" with YAML values, applied last.

        Raises:
            HandmeshError: the file cannot be read, or a field is unknown, of the wrong type or out
                of its range.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
            content = {} if (read := parse_yaml(text)) is None else read
        except OSError as error:
            raise HandmeshError(
                f"Cannot read the training configuration {path}: {error.strerror}."
            ) from error
        except UnicodeDecodeError as error:
            raise HandmeshError(f"{path} is not a text file: give a YAML file.") from error
        except ValueError as error:
            raise HandmeshError(f"{path} is not valid YAML: {error}.") from error
        for override in overrides:
            _override(content, override, str(path))
        config = _build(cls, content, str(path))
        if not re.fullmatch(r"\w[\w.+-]*", config.name):
            raise HandmeshError(
                f"{path}: name is {config.name!r}: files are called so, give it letters, digits, "
                "- and _."
            )
        if config.data.train and not any(source.weight for source in config.data.train):
            raise HandmeshError(
                f"{path}: all folders of data.train have the weight 0: give one of them more."
            )
        if config.network.input_height:
            raise HandmeshError(
                f"{path} sets network.input_height, but training images are square: leave it out, "
                "and give `handmesh export` --input-size WIDTHxHEIGHT."
            )
        return config


def _override(content: Any, override: str, where: str) -> None:
    """Put "section.field=value" into nested mappings."""
    name, separator, value = override.partition("=")
    if not separator:
        raise HandmeshError(f"The override {override!r} has no '=': write section.field=value.")
    *sections, last = name.split(".")
    place = content
    for section in sections:
        place = place.setdefault(section, {}) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        raise HandmeshError(f"The override {override!r} finds no section for it in {where}.")
    try:
        place[last] = parse_yaml(value)
    except ValueError as error:
        raise HandmeshError(f"The override {override!r} is not valid YAML: {error}.") from error


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
    hints = get_type_hints(kind, include_extras=True)
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
        else:
            values[name] = _checked(hint, value, place)
    return kind(**values)


def _checked(hint: Any, value: Any, place: str) -> Any:
    """Return a setting's value if it is of the type, and in the range, of its annotation."""
    if get_origin(hint) is Annotated:
        kind, limits = get_args(hint)
        value = _checked(kind, value, place)
        limits.check(value, place)
        return value
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise HandmeshError(
                f"{place} is {value!r}: choose one of {', '.join(get_args(hint))}."
            )
        return value
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if not isinstance(value, list) or (kinds[-1] is not ... and len(value) != len(kinds)):
            length = "" if kinds[-1] is ... else f" of {len(kinds)}"
            raise HandmeshError(f"{place} must be a list{length}, not {value!r}.")
        return tuple(_checked(kinds[0], entry, place) for entry in value)
    if hint is float:
        value = _number(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise HandmeshError(f"{place} is {value!r}: it must be of type {hint.__name__}.")
    return value

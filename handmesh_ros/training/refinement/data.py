"""Cached crops in memory: training and held-out rows, and batches that a step decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from handmesh_ros.errors import HandmeshError
from handmesh_ros.network.pose_head import CropCamera, CropReading
from handmesh_ros.training.refinement.definition import DefinitionShift
from handmesh_ros.training.refinement.features import READ_FIELDS, Features

HELD_OUT = 20
"""Of so many rendered images one is held out of training."""

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Shares:
    """What a batch is made of.

    Args:
        nothing: share of crops without a hand.
        photographs: share of crops of photographs.
    """

    nothing: float = 0.1
    photographs: float = 0.15


class CropData:
    """Rows of feature files, split by images into those to train on and those held out.

    Args:
        rendered: files of images with exact truth.
        photographs: files of labelled photographs; their labels are moved to this project's
            definition of the joints.
        shares: what a batch is made of.

    Attributes:
        held_out: batch of all rendered rows that are held out.
        shift: between the definitions.

    Raises:
        HandmeshError: a file cannot be read, or there are too few hands.
    """

    def __init__(
        self, rendered: list[Path], photographs: list[Path], shares: Shares | None = None
    ) -> None:
        self._shares = shares or Shares()
        features = load_features(rendered)
        self.shift = DefinitionShift(features)
        out = features["image"] % HELD_OUT == HELD_OUT - 1
        if out.all() or not (features["is_hand"][~out] > 0).any():
            raise HandmeshError(
                "The shards show too few hands to train on: give at least some hundred images."
            )
        self.held_out = to_batch(_rows(features, np.flatnonzero(out)))
        parts = [_rows(features, np.flatnonzero(~out))]
        if photographs:
            parts.append(self.shift.moved(load_features(photographs)))
        together = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        is_hand = together["is_hand"] > 0
        is_photograph = np.arange(len(is_hand)) >= len(parts[0]["is_hand"])
        self._hands = np.flatnonzero(is_hand & ~is_photograph)
        self._nothing = np.flatnonzero(~is_hand)
        self._photographs = np.flatnonzero(is_hand & is_photograph)
        self._rows = {name: torch.from_numpy(values) for name, values in together.items()}

    def __len__(self) -> int:
        return len(self._rows["is_hand"])

    def batch(self, size: int, step: int, seed: int) -> Batch:
        """Return the batch of a step, the same each time.

        Args:
            size: crops.
            step: number of the batch.
            seed: of the run.
        """
        rng = np.random.default_rng([seed, step])
        pools = [
            (self._nothing, self._shares.nothing),
            (self._photographs, self._shares.photographs),
        ]
        chosen, left = [], size
        for pool, share in pools:
            count = round(size * share) if len(pool) else 0
            chosen.append(rng.choice(pool, count) if count else np.zeros(0, np.intp))
            left -= count
        # Rows lie one image after another: in order they are read faster.
        index = np.sort(np.concatenate([*chosen, rng.choice(self._hands, left)]))
        where = torch.from_numpy(index)
        return {name: values[where] for name, values in self._rows.items()}

    def some(self, count: int) -> Batch:
        """Return some rendered hands, to measure the scales of inputs on."""
        where = torch.from_numpy(self._hands[:: max(len(self._hands) // count, 1)])
        return {name: values[where] for name, values in self._rows.items()}


def load_features(files: list[Path]) -> Features:
    """Return the rows of feature files one after another.

    Raises:
        HandmeshError: a file is damaged.
    """
    parts: list[Features] = []
    for file in files:
        try:
            with np.load(file) as archive:
                parts.append({name: archive[name] for name in archive.files})
        except (OSError, ValueError, EOFError) as error:
            raise HandmeshError(
                f"The features {file} are damaged ({error}): delete the file, it is made again."
            ) from error
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def to_batch(features: Features) -> Batch:
    """Return the rows as tensors."""
    return {name: torch.from_numpy(values) for name, values in features.items()}


def take(batch: Batch, where: slice | Tensor) -> Batch:
    """Return some rows of a batch."""
    return {name: values[where] for name, values in batch.items()}


def reading_of(batch: Batch) -> CropReading:
    """Return what the landmark network said of the crops."""
    return CropReading(**{name: batch[name].float() for name in READ_FIELDS})


def camera_of(batch: Batch) -> CropCamera:
    """Return the cameras of the crops."""
    return CropCamera.of(batch["to_image"], batch["intrinsics"])


def _rows(features: Features, index: np.ndarray) -> Features:
    return {name: values[index] for name, values in features.items()}

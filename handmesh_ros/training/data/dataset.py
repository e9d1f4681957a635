"""Datasets and batches for training and validation.

`HandDataset` draws samples from several sources by weight and augments them; what index i of an
epoch gives depends on (seed, epoch, i) only, so a resumed training sees what it would have seen.
`LetterboxDataset` shows one source as the runtime would. Both go through `collate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import SKELETON
from handmesh_ros.training.data.augment import Augmenter, letterbox
from handmesh_ros.training.data.composition.mosaic import mosaic_tiles, place_in_mosaic
from handmesh_ros.training.data.photometry import amplitude_spectrum
from handmesh_ros.training.data.sample import PER_HAND_FIELDS, Sample

MAX_HANDS = 8
MIN_VISIBLE_FRACTION = 0.15
MIN_HAND_PIXELS = 10.0

Batch = dict[str, torch.Tensor]


class Samples(Protocol):
    """A store of samples: a `ShardDataset` or a list of `Sample`."""

    def __len__(self) -> int:
        """Return how many samples there are."""
        ...

    def __getitem__(self, index: int, /) -> Sample:
        """Return one sample."""
        ...


@dataclass(frozen=True)
class Source:
    """A store of samples and its share of the training images.

    Attributes:
        samples: the store.
        weight: relative share, above 0.
    """

    samples: Samples
    weight: float = 1.0


class HandDataset(Dataset[Sample]):
    """Augmented training samples, mixed from several sources.

    Args:
        sources: what to mix.
        length: samples of one epoch.
        size: width and height of the network's input, pixels.
        augmenter: random views and photometric augmentation; None for `Augmenter()`.
        mosaic: probability that an image is tiled from two or four samples.
        empty: probability of a background without hands.
        seed: of everything random.

    Raises:
        HandmeshError: there is no source, an empty one, or a weight that is not positive.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        length: int,
        size: int = 256,
        augmenter: Augmenter | None = None,
        mosaic: float = 0.15,
        empty: float = 0.0,
        seed: int = 0,
    ) -> None:
        if not sources or any(not len(s.samples) or s.weight <= 0 for s in sources):
            raise HandmeshError(
                "Training needs at least one source, each with samples and a weight above 0; "
                "check the data folders and their weights."
            )
        self.sources = list(sources)
        self.length = length
        self.size = size
        self.augmenter = augmenter or Augmenter()
        self.mosaic = mosaic
        self.empty = empty
        self.seed = seed
        weights = np.array([source.weight for source in sources], np.float64)
        self._bounds = np.cumsum(weights / weights.sum())
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; reaches data-loader workers that are already running."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng((self.seed, int(self._epoch), index))
        kind = rng.random()
        if kind < self.mosaic:
            return self._mosaic(rng)
        if kind < self.mosaic + self.empty:
            return self._background(rng)
        return self.augmenter.augment(self._draw(rng), rng, self.size, self.size)

    def _draw(self, rng: np.random.Generator) -> Sample:
        source = int(np.searchsorted(self._bounds, rng.random(), side="right"))
        samples = self.sources[min(source, len(self.sources) - 1)].samples
        return samples[int(rng.integers(len(samples)))]

    def _background(self, rng: np.random.Generator) -> Sample:
        image = self.augmenter.backgrounds.draw(rng, self.size, self.size)
        nobody = Sample.from_keypoints(image, np.zeros((0, 21, 2)), np.zeros(0, bool))
        return self.augmenter.augment_photometry(nobody, rng)

    def _mosaic(self, rng: np.random.Generator) -> Sample:
        tiles = mosaic_tiles(rng, self.size)
        parts = [
            self.augmenter.view(self._draw(rng), rng, x1 - x0, y1 - y0) for x0, y0, x1, y1 in tiles
        ]
        return self.augmenter.augment_photometry(
            place_in_mosaic(parts, tiles, self.size, MAX_HANDS), rng
        )


class LetterboxDataset(Dataset[Sample]):
    """Samples of one store as the runtime would see them, in order.

    Args:
        samples: the store.
        size: width and height of the network's input, pixels.
    """

    def __init__(self, samples: Samples, size: int = 256) -> None:
        self.samples = samples
        self.size = size

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return letterbox(self.samples[index], self.size, self.size)


def collate(samples: Sequence[Sample], max_hands: int = MAX_HANDS) -> Batch:
    """Return a batch; hands are padded to M = `max_hands`, the largest ones kept.

    Returns:
        image (B, H, W, 3) uint8; intrinsics (B, 4); per hand, zeros where `valid` is false:
        valid (B, M) bool, ignore (B, M) bool (too hidden or too small to be found or not),
        is_right (B, M) bool, has_3d (B, M) bool, visible_fraction (B, M), keypoints_2d
        (B, M, 21, 2), keypoints_visible (B, M, 21) bool, box (B, M, 4), joints (B, M, 21, 3),
        rotations (B, M, 16, 3, 3) (identity in the padding), shape (B, M, 10), translation
        (B, M, 3), colors (B, M, 778, 3) uint8, hand_intrinsics (B, M, 4) (the image's in the
        padding), mask_value (B, M) uint8, the hand's value in the mask, 0 where there is none;
        mask (B, H, W) uint8 as in `Sample`. Floats are float32; units and frames as in `Sample`.
    """
    padded = [_pad(sample, max_hands) for sample in samples]
    batch = {
        name: torch.from_numpy(np.stack([arrays[name] for arrays in padded])) for name in padded[0]
    }
    batch["image"] = torch.from_numpy(np.stack([sample.image for sample in samples]))
    masks = [
        np.zeros(sample.image.shape[:2], np.uint8) if sample.mask is None else sample.mask
        for sample in samples
    ]
    batch["mask"] = torch.from_numpy(np.stack(masks))
    intrinsics = np.stack([sample.intrinsics for sample in samples]).astype(np.float32)
    batch["intrinsics"] = torch.from_numpy(intrinsics)
    return batch


def ignored_hands(sample: Sample) -> np.ndarray:
    """Return (N,) bool: hands so hidden or small that finding them is neither right nor wrong."""
    extent = (sample.box[:, 2:] - sample.box[:, :2]).max(axis=1, initial=0)
    return (sample.visible_fraction < MIN_VISIBLE_FRACTION) | (extent < MIN_HAND_PIXELS)


def amplitude_bank(samples: Samples, count: int = 256, seed: int = 0) -> np.ndarray:
    """Return (count, 32, 32, 3) float32 spectra of random images, for `Augmenter`."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(samples), size=count)
    return np.stack([amplitude_spectrum(samples[int(i)].image) for i in chosen])


def preview(
    dataset: Dataset[Sample], count: int, file: str | Path, columns: int = 8, scale: int = 1
) -> None:
    """Write a contact sheet of the first samples with boxes, keypoints and sides drawn.

    Args:
        dataset: what to show.
        count: how many samples.
        file: image file to write.
        columns: of the sheet.
        scale: whole-number enlargement.
    """
    pictures = [draw_sample(dataset[index], scale) for index in range(count)]
    height, width = np.max([picture.shape[:2] for picture in pictures], axis=0)
    sheet = np.zeros((-(-count // columns) * height, columns * width, 3), np.uint8)
    for index, picture in enumerate(pictures):
        y, x = index // columns * height, index % columns * width
        sheet[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    cv2.imwrite(str(file), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def draw_sample(sample: Sample, scale: int = 1) -> np.ndarray:
    """Return the image with its labels: right hands red, left ones blue, ignored ones grey."""
    picture = cv2.resize(sample.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    for hand, ignore in enumerate(ignored_hands(sample)):
        colour = (255, 60, 60) if sample.is_right[hand] else (80, 120, 255)
        colour = (160, 160, 160) if ignore else colour
        x0, y0, x1, y1 = (np.clip(sample.box[hand], -1e4, 1e4) * scale).round().astype(int)
        cv2.rectangle(picture, (x0, y0), (x1, y1), colour, 1)
        points = (sample.keypoints_2d[hand].clip(-1e4, 1e4) * scale).round().astype(int)
        for start, end in SKELETON:
            cv2.line(picture, points[start].tolist(), points[end].tolist(), colour, 1)
        for point in points[sample.keypoints_visible[hand].astype(bool)]:
            cv2.circle(picture, point.tolist(), 1, (80, 255, 80), -1)
    return picture


def _pad(sample: Sample, max_hands: int) -> dict[str, np.ndarray]:
    if len(sample) > max_hands:
        extent = (sample.box[:, 2:] - sample.box[:, :2]).max(axis=1)
        shown = extent * (sample.visible_fraction >= MIN_VISIBLE_FRACTION)
        sample = sample.select(np.sort(np.argsort(-shown, kind="stable")[:max_hands]))
    count = len(sample)
    arrays = {"valid": np.arange(max_hands) < count, "ignore": np.zeros(max_hands, bool)}
    arrays["ignore"][:count] = ignored_hands(sample)
    for name in PER_HAND_FIELDS:
        values = np.asarray(getattr(sample, name))
        values = values.astype(_BATCH_TYPES.get(name, np.float32), copy=False)
        arrays[name] = np.zeros((max_hands, *values.shape[1:]), values.dtype)
        arrays[name][:count] = values
    arrays["rotations"][count:] = np.eye(3, dtype=np.float32)
    arrays["hand_intrinsics"][count:] = sample.intrinsics
    if sample.mask is None:
        arrays["mask_value"][:] = 0
    return arrays


_BATCH_TYPES: dict[str, type] = {
    "is_right": bool,
    "has_3d": bool,
    "keypoints_visible": bool,
    "colors": np.uint8,
    "mask_value": np.uint8,
}

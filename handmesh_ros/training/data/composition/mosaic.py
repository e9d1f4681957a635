"""Mosaics: several views in one image, so that it holds more hands.

Every hand keeps the camera it was seen by, shifted with its tile, in `hand_intrinsics`; its 3D
truth therefore stays exact although no single camera sees the mosaic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handmesh_ros.training.data.geometry import Rectangle
from handmesh_ros.training.data.sample import PER_HAND_FIELDS, Sample


def mosaic_tiles(rng: np.random.Generator, size: int) -> list[Rectangle]:
    """Return two or four tiles x0, y0, x1, y1 that fill a square of `size` pixels."""
    x, y = (rng.uniform(0.35, 0.65, 2) * size).astype(int).tolist()
    kind = rng.choice(3, p=(0.5, 0.25, 0.25))
    if kind == 1:
        return [(0, 0, x, size), (x, 0, size, size)]
    if kind == 2:
        return [(0, 0, size, y), (0, y, size, size)]
    return [(0, 0, x, y), (x, 0, size, y), (0, y, x, size), (x, y, size, size)]


def place_in_mosaic(
    parts: Sequence[Sample], tiles: Sequence[Rectangle], size: int, max_hands: int
) -> Sample:
    """Return the parts side by side as one sample, without a mask.

    A part that would bring the number of hands above `max_hands` is left out, its tile grey.

    Args:
        parts: samples, each as large as its tile.
        tiles: x0, y0, x1, y1 of each.
        size: width and height of the mosaic.
        max_hands: most hands in the mosaic.
    """
    image = np.full((size, size, 3), 114, np.uint8)
    placed: list[Sample] = []
    for part, (x0, y0, x1, y1) in zip(parts, tiles, strict=True):
        if sum(map(len, placed)) + len(part) > max_hands:
            continue
        image[y0:y1, x0:x1] = part.image
        placed.append(shift(part, x0, y0))
    values: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in placed])
        if placed
        else getattr(parts[0], name)[:0]
        for name in PER_HAND_FIELDS
    }
    focal = np.mean([part.intrinsics[:2] for part in parts], axis=0)
    intrinsics = np.array([*focal, (size - 1) / 2, (size - 1) / 2], np.float32)
    return Sample(image=image, mask=None, intrinsics=intrinsics, source="mosaic", **values)


def shift(sample: Sample, x: float, y: float) -> Sample:
    """Return the labels moved by x, y pixels; image and mask stay."""
    move = np.array([x, y], np.float32)
    return sample.replace(
        intrinsics=sample.intrinsics + np.array([0, 0, x, y], np.float32),
        keypoints_2d=sample.keypoints_2d + move,
        box=sample.box + np.tile(move, 2),
        hand_intrinsics=sample.hand_intrinsics + np.array([0, 0, x, y], np.float32),
    )

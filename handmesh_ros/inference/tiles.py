"""Overlapping tiles of an image, for hands that take a small share of it."""

from __future__ import annotations

import numpy as np

from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.estimator import Estimator, Timings
from handmesh_ros.inference.multi_scale import MultiScaleDetector

OVERLAP = 1 / 3
"""Of a tile's width and height that it shares with the next."""

LARGEST_SHARE = 0.6
"""A detection above this share of its tile's longer side is left to the whole image."""


def tile_corners(height: int, width: int, across: int = 2) -> list[tuple[int, int, int, int]]:
    """Return x0, y0, x1, y1 of the tiles of an image; none where it is too small for any.

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
        across: tiles beside each other, and below each other; at least 2.
    """
    share = 1 / (across - (across - 1) * OVERLAP)
    tile_height, tile_width = round(share * height), round(share * width)
    if min(tile_height, tile_width) < 2:
        return []
    steps = [step / (across - 1) for step in range(across)]
    return [
        (x, y, x + tile_width, y + tile_height)
        for y in (round(step * (height - tile_height)) for step in steps)
        for x in (round(step * (width - tile_width)) for step in steps)
    ]


def propose_on_tiles(
    finder: Estimator | MultiScaleDetector,
    image: np.ndarray,
    intrinsics: np.ndarray,
    across: int = 2,
) -> tuple[Hands, Timings]:
    """Find hands on each tile of an image.

    Args:
        finder: detects hands; of two input sizes the larger one is used.
        image: (H, W, 3) uint8 RGB.
        intrinsics: (4,) fx, fy, cx, cy, pixels of `image`.
        across: tiles beside each other, and below each other.

    Returns:
        The hands, in pixels of `image`, and the time that it took.
    """
    estimator = finder.far if isinstance(finder, MultiScaleDetector) else finder
    found, timings = [], Timings()
    height, width = image.shape[:2]
    for x0, y0, x1, y1 in tile_corners(height, width, across):
        corner = np.array([x0, y0], np.float32)
        camera = np.concatenate([intrinsics[:2], intrinsics[2:] - corner])
        hands = estimator.detect(image[y0:y1, x0:x1], camera)
        timings = timings + estimator.timings
        size = (hands.box[:, 2:] - hands.box[:, :2]).max(1)
        hands = hands[np.flatnonzero(size <= LARGEST_SHARE * max(x1 - x0, y1 - y0))]
        found.append(
            hands.replace(
                box=hands.box + np.tile(corner, 2), keypoints_2d=hands.keypoints_2d + corner
            )
        )
    if not found:
        return Hands.empty(finder.backend.sidecar.hand_model.vertices), timings
    return Hands.joined(found), timings

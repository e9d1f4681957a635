"""Overlapping tiles of an image, for hands that take a small share of it."""

from __future__ import annotations

import numpy as np

from handmesh_ros.hand.hands import Hands
from handmesh_ros.runtime.estimator import Estimator, Timings
from handmesh_ros.runtime.two_looks import TwoLooks

TILE_SHARE = 0.6
"""Of the image's width and height: two by two tiles, which overlap by a third of theirs."""

LARGEST_SHARE = 0.6
"""A find above this share of its tile's longer side belongs to the look at the whole image."""


def tile_corners(height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Return x0, y0, x1, y1 of the tiles of an image; none where it is too small for any."""
    tile_height, tile_width = round(TILE_SHARE * height), round(TILE_SHARE * width)
    if min(tile_height, tile_width) < 2:
        return []
    return [
        (x, y, x + tile_width, y + tile_height)
        for y in (0, height - tile_height)
        for x in (0, width - tile_width)
    ]


def propose_on_tiles(
    finder: Estimator | TwoLooks, image: np.ndarray, intrinsics: np.ndarray
) -> tuple[Hands, Timings]:
    """Find hands on each tile of an image.

    Args:
        finder: finds hands; with two input sizes, the larger one is used.
        image: (H, W, 3) uint8 RGB.
        intrinsics: (4,) fx, fy, cx, cy, pixels of `image`.

    Returns:
        The hands, in pixels of `image`, and the time that it took.
    """
    look = finder.far if isinstance(finder, TwoLooks) else finder
    found, timings = [], Timings()
    for x0, y0, x1, y1 in tile_corners(*image.shape[:2]):
        corner = np.array([x0, y0], np.float32)
        camera = np.concatenate([intrinsics[:2], intrinsics[2:] - corner])
        hands = look(image[y0:y1, x0:x1], camera)
        timings = timings + look.timings
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

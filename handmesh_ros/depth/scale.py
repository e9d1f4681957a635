"""One scale for each hand from aligned depth: robust, or not at all.

A network sees a hand's shape and direction well, its size and so its distance only up to a factor.
Depth at the visible vertices gives that factor. One number for the whole hand cannot tear it, as
looking up depth joint by joint does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands, ScaleSource
from handmesh_ros.hand.size import rescaled

NEAREST_M, FARTHEST_M = 0.1, 5.0
"""Depth outside this range is no measurement of a hand."""

CELL_PX = 4
"""Of the vertices that fall into one cell of this size the nearest is the visible one."""

VISIBLE_BEHIND_M = 0.008
"""A vertex so far behind the nearest of its cell or of the cells beside it is still on the
visible surface."""

LARGEST_FACTOR = 2.5
"""A depth that asks for a larger correction, or its inverse, is of something else."""

INLIER_SPREAD = 0.03
"""Relative: a vertex whose factor is within this of the common one agrees with it."""

MIN_VISIBLE, MIN_INLIERS, MIN_INLIER_RATIO = 20, 15, 0.35


@dataclass(frozen=True)
class DepthScale:
    """What depth says of N hands.

    Attributes:
        factor: (N,) true size over estimated size; 1 where depth does not tell.
        inlier_ratio: (N,) share of a hand's visible vertices with depth that agree.
        reliable: (N,) whether depth tells.
        claimed: (N,) the factor of depth that was not believed because it is too far from 1, as
            that of another unit is; NaN elsewhere.
    """

    factor: np.ndarray
    inlier_ratio: np.ndarray
    reliable: np.ndarray
    claimed: np.ndarray


def measure_scale(hands: Hands, depth_m: np.ndarray, intrinsics: np.ndarray) -> DepthScale:
    """Compare hands with depth.

    Each visible vertex has a factor, measured over estimated depth. The common factor is the one
    that most of them agree with, refined as the median of those: holes have no say, and flying
    pixels, occluders and background, which agree with each other less than a hand does, are
    outvoted.

    Args:
        hands: of one image, with vertices.
        depth_m: (H, W) float32 metres along the optical axis, 0 or NaN where unknown; of the
            colour image's size and view.
        intrinsics: (4,) fx, fy, cx, cy that the hands were found with, pixels.

    Raises:
        HandmeshError: nothing of the depth image is known.
    """
    if not (depth_m > 0).any():
        raise HandmeshError(
            "The depth image has no measurement at all, so hands keep their assumed size: check "
            "the depth camera."
        )
    count = len(hands)
    factor, ratio = np.ones(count), np.zeros(count)
    reliable, claimed = np.zeros(count, bool), np.full(count, np.nan)
    pixels, is_visible = visible_vertices(hands.vertices, intrinsics, depth_m.shape)
    for index in range(count):
        seen = is_visible[index]
        x, y = pixels[index, seen].T
        measured, estimated = depth_m[y, x], hands.vertices[index, seen, 2]
        with np.errstate(invalid="ignore"):
            known = (measured > NEAREST_M) & (measured < FARTHEST_M)
        logs = np.log(measured[known] / estimated[known])
        logs = np.sort(logs[np.abs(logs) < np.log(LARGEST_FACTOR)].astype(float))
        if known.sum() >= MIN_VISIBLE and len(logs):
            inliers = _densest(logs, 2.0 * INLIER_SPREAD)
            ratio[index] = len(inliers) / known.sum()
            reliable[index] = len(inliers) >= MIN_INLIERS and ratio[index] >= MIN_INLIER_RATIO
        if reliable[index]:
            factor[index] = np.exp(np.median(inliers))
        else:
            claimed[index] = _claim(measured, estimated)
    return DepthScale(factor, ratio, reliable, claimed)


def _claim(measured: np.ndarray, estimated: np.ndarray) -> float:
    """Return the usual factor from estimated to measured depth if it is too large, else NaN."""
    with np.errstate(invalid="ignore"):
        known = measured > 0
    if known.sum() < MIN_VISIBLE:
        return float("nan")
    log = float(np.median(np.log(measured[known].astype(float) / estimated[known])))
    return float(np.exp(log)) if abs(log) > np.log(LARGEST_FACTOR) else float("nan")


def with_depth(hands: Hands, scale: DepthScale) -> Hands:
    """Return hands in the size that depth gives; those that it does not tell of stay as they are.

    Args:
        hands: of one image.
        scale: of these hands.
    """
    source = np.where(scale.reliable, ScaleSource.DEPTH, hands.scale_source)
    return rescaled(hands, scale.factor, source)


def visible_vertices(
    vertices: np.ndarray, intrinsics: np.ndarray, image_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return where vertices fall and which of them no hand hides, by a coarse depth buffer.

    Args:
        vertices: (N, V, 3) metres, camera frame, all hands of one image.
        intrinsics: (4,) fx, fy, cx, cy, pixels.
        image_size: (height, width), pixels.

    Returns:
        (N, V, 2) int pixels x, y and (N, V) whether they are in the image and visible.
    """
    height, width = image_size
    z = vertices[..., 2]
    in_front = z > NEAREST_M / LARGEST_FACTOR
    xy = vertices[..., :2] / np.where(in_front, z, 1.0)[..., None]
    pixels = np.rint(xy * intrinsics[:2] + intrinsics[2:])
    inside = in_front & (pixels >= 0).all(-1)
    inside &= (pixels[..., 0] < width) & (pixels[..., 1] < height)
    pixels = np.where(inside[..., None], pixels, 0.0).astype(np.intp)
    rows, columns = (pixels[..., 1] // CELL_PX + 1), (pixels[..., 0] // CELL_PX + 1)
    nearest = np.full((height // CELL_PX + 3, width // CELL_PX + 3), np.inf)
    np.minimum.at(nearest, (rows[inside], columns[inside]), z[inside])
    around = np.minimum.reduce(
        [nearest[rows + down, columns + right] for down in (-1, 0, 1) for right in (-1, 0, 1)]
    )
    return pixels, inside & (z <= around + VISIBLE_BEHIND_M)


def _densest(ordered: np.ndarray, width: float) -> np.ndarray:
    """Return the values of the window of this width that holds the most of sorted values."""
    last = np.searchsorted(ordered, ordered + width, side="right")
    first = int(np.argmax(last - np.arange(len(ordered))))
    return ordered[first : last[first]]

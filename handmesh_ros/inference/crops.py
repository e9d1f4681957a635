"""The part of an image that the refinement network sees of a hand, turned upright.

The rule is that of MediaPipe's hand landmark pipeline, which its network was trained with: a
square around the palm's keypoints and the first finger joints, turned so that the middle of the
hand points up, twice as long as their extent and moved towards the fingers.
"""

from __future__ import annotations

import cv2
import numpy as np

from handmesh_ros.hand.conventions import CROP_SIDE, INDEX_MCP, MIDDLE_MCP, WRIST

PALM_KEYPOINTS = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
RING_MCP = 13
SIDE, SHIFT = 2.0, 0.1
"""The square's side and its shift along the hand, in longer sides of the palm keypoints' box."""

ALIKE_DISTANCE, ALIKE_RATIO, ALIKE_COSINE = 0.12, 1.3, 0.8
"""Bounds for regions that show nearly the same: distance in sides, ratio of the sides, cosine of
the angle between them."""

SMALLEST_SIDE = 8.0
"""Pixels of the image; a smaller square shows nothing."""


def hand_regions(keypoints: np.ndarray) -> np.ndarray:
    """Return the crops that hands are read from.

    Args:
        keypoints: (N, 21, 2) image pixels.

    Returns:
        (N, 2, 3) float32 similarities from crop pixels to image pixels.
    """
    points = np.asarray(keypoints, np.float64)
    knuckles = (points[:, INDEX_MCP] + points[:, RING_MCP]) / 2
    axis = (knuckles + points[:, MIDDLE_MCP]) / 2 - points[:, WRIST]
    angle = np.arctan2(axis[:, 0], -axis[:, 1])  # 0 points up
    upright = _rotations(angle)
    palm = points[:, PALM_KEYPOINTS]
    centre = (palm.min(1) + palm.max(1)) / 2
    turned = (palm - centre[:, None]) @ upright
    low, high = turned.min(1), turned.max(1)
    extent = high - low
    middle = (low + high) / 2
    middle[:, 1] -= SHIFT * extent[:, 1]
    centre = centre + np.einsum("nij,nj->ni", upright, middle)
    side = np.maximum(SIDE * extent.max(1), SMALLEST_SIDE)
    return square_regions(centre, side, angle)


def square_regions(centre: np.ndarray, side: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Return the (N, 2, 3) float32 maps from the pixels of crops to those of the image.

    Args:
        centre: (N, 2) of the squares, image pixels.
        side: (N,) image pixels.
        angle: (N,) radians by which they are turned, clockwise in the image.
    """
    turn = _rotations(angle) * (side / CROP_SIDE)[:, None, None]
    shift = centre - turn.sum(2) * (CROP_SIDE / 2)
    return np.concatenate([turn, shift[:, :, None]], axis=2).astype(np.float32)


def region_sides(to_image: np.ndarray) -> np.ndarray:
    """Return the (N,) sides of regions (N, 2, 3), image pixels."""
    return CROP_SIDE * np.hypot(to_image[:, 0, 0], to_image[:, 1, 0])


def region_centres(to_image: np.ndarray) -> np.ndarray:
    """Return the (N, 2) middles of regions (N, 2, 3), image pixels."""
    return to_image[:, :, :2].sum(2) * (CROP_SIDE / 2) + to_image[:, :, 2]


def turned_regions(to_image: np.ndarray, turn_deg: float) -> np.ndarray:
    """Return regions (N, 2, 3), turned about their middles, clockwise in the image."""
    turn = _rotations(np.radians([turn_deg]))[0]
    middle = np.full(2, CROP_SIDE / 2)
    shift = middle - turn @ middle
    linear = to_image[:, :, :2]
    return np.concatenate(
        [linear @ turn, (linear @ shift)[:, :, None] + to_image[:, :, 2:]], axis=2
    ).astype(np.float32)


def scaled_regions(to_image: np.ndarray, factor: float) -> np.ndarray:
    """Return regions (N, 2, 3), larger by a factor about their middles."""
    linear = to_image[:, :, :2]
    shift = to_image[:, :, 2] + linear.sum(2) * (CROP_SIDE / 2) * (1 - factor)
    return np.concatenate([linear * factor, shift[:, :, None]], axis=2).astype(np.float32)


def regions_alike(to_image: np.ndarray) -> np.ndarray:
    """Return (N, N) whether two regions show nearly the same, equally upright.

    Args:
        to_image: (N, 2, 3) from crop pixels to image pixels.
    """
    centre, side = region_centres(to_image), region_sides(to_image)
    across = to_image[:, :, 0]  # (N, 2)
    gap = np.hypot(*(centre[:, None] - centre).transpose(2, 0, 1))
    larger, smaller = np.maximum(side[:, None], side), np.minimum(side[:, None], side)
    cosine = CROP_SIDE**2 * (across @ across.T) / (side[:, None] * side)
    is_near, is_as_large = gap < ALIKE_DISTANCE * larger, larger < ALIKE_RATIO * smaller
    return is_near & is_as_large & (cosine > ALIKE_COSINE)


def cut_crops(image: np.ndarray, to_image: np.ndarray) -> np.ndarray:
    """Return (N, 224, 224, 3) uint8 crops, black outside the image.

    Each is resampled once, from the image as it is; what is more than twice as large is first
    averaged over whole pixels, so that nothing between the samples is left out.

    Args:
        image: (H, W, 3) uint8.
        to_image: (N, 2, 3) from crop pixels to image pixels.
    """
    crops = np.zeros((len(to_image), CROP_SIDE, CROP_SIDE, 3), np.uint8)
    for crop, region in zip(crops, to_image.astype(np.float64), strict=True):
        _cut(image, region, crop)
    return crops


def _cut(image: np.ndarray, region: np.ndarray, crop: np.ndarray) -> None:
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [CROP_SIDE, 0], [0, CROP_SIDE], [CROP_SIDE, CROP_SIDE]], float)
    reached = corners @ region[:, :2].T + region[:, 2]
    low = np.maximum(np.floor(reached.min(0)) - 2, 0).astype(int)
    high = np.minimum(np.ceil(reached.max(0)) + 3, [width, height]).astype(int)
    if (high <= low).any():
        return
    part = image[low[1] : high[1], low[0] : high[0]]
    region = region.copy()
    region[:, 2] -= low
    shrink = int(np.hypot(region[0, 0], region[1, 0]))
    if shrink > 1:
        size = [max(length // shrink, 1) for length in part.shape[1::-1]]
        whole = part[: size[1] * shrink, : size[0] * shrink]
        factor = np.array(whole.shape[1::-1]) / size
        part = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
        # With pixel centres at integers, averaging f pixels maps x to (x + 0.5) / f − 0.5.
        region[:, :2] /= factor[:, None]
        region[:, 2] = (region[:, 2] + 0.5) / factor - 0.5
    cv2.warpAffine(
        part,
        region,
        (CROP_SIDE, CROP_SIDE),
        dst=crop,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )


def _rotations(angle: np.ndarray) -> np.ndarray:
    """Return (N, 2, 2) rotations by (N,) radians, clockwise where y points down."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos, -sin, sin, cos], axis=1).reshape(-1, 2, 2)

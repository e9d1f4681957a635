"""One hand found twice, once as left and once as right: keep the better one."""

from __future__ import annotations

import numpy as np

from handmesh_ros.hand.vectors import lengths

SAME_HAND_IOU = 0.5
SAME_HAND_DISTANCE = 0.2
"""Mean keypoint distance, as a fraction of the hand's size, below which two finds are one hand."""


def suppress_duplicates(boxes: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Return the indices of the hands to keep, in order.

    Two finds are the same hand when their boxes overlap and their keypoints lie close together.
    The second condition keeps clasped and crossing hands, whose boxes may coincide but whose
    wrists do not. Pairs are compared greedily from the best score down, as in non-maximum
    suppression.

    Args:
        boxes: (N, 4) x0, y0, x1, y1, best score first.
        keypoints: (N, 21, 2) in the same pixels.

    Returns:
        (M,) indices in ascending order.
    """
    sizes = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    areas = sizes.prod(axis=1)
    overlap = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    overlap = overlap - np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    intersection = np.maximum(overlap, 0.0).prod(axis=-1)
    union = areas[:, None] + areas[None, :] - intersection
    iou = intersection / np.maximum(union, 1e-9)
    is_kept = np.ones(len(boxes), bool)
    for better, worse in np.argwhere(iou > SAME_HAND_IOU).tolist():
        if better < worse and is_kept[better]:
            distance = lengths(keypoints[better] - keypoints[worse]).mean()
            size = np.sqrt(max(areas[better], areas[worse]))
            is_kept[worse] &= distance >= SAME_HAND_DISTANCE * size
    return np.flatnonzero(is_kept)

"""One hand found twice, once as left and once as right: keep the better one."""

from __future__ import annotations

import math

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
    corners = boxes.tolist()  # for a few boxes NumPy's calls cost more than the arithmetic
    kept: list[int] = []
    for index, corner in enumerate(corners):
        rivals = [k for k in kept if _iou(corners[k], corner) > SAME_HAND_IOU]
        if not any(_distance(boxes, keypoints, k, index) < SAME_HAND_DISTANCE for k in rivals):
            kept.append(index)
    return np.array(kept, dtype=np.intp)


def _iou(first: list[float], second: list[float]) -> float:
    """Return intersection over union of two boxes."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0.0 or height <= 0.0:
        return 0.0
    return width * height / (_area(first) + _area(second) - width * height)


def _area(box: list[float]) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _distance(boxes: np.ndarray, keypoints: np.ndarray, first: int, second: int) -> float:
    """Return the mean distance of two hands' keypoints over the size of the larger one."""
    size = math.sqrt(max(_area(boxes[first].tolist()), _area(boxes[second].tolist())))
    return float(lengths(keypoints[first] - keypoints[second]).mean()) / size

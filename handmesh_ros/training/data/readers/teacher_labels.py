"""Labels by a teacher: hands it is sure of, and places to be ignored where it is not. No torch."""

from __future__ import annotations

import numpy as np

from handmesh_ros.inference.teacher import Findings
from handmesh_ros.training.data.readers.hand_labels import LabelledHand
from handmesh_ros.training.data.sample import box_of_keypoints, points_inside

STRICT, LOOSE = 0.8, 0.2
"""Usual thresholds: on photographs nothing false was surer than 0.7 (docs/training.md)."""

LEAST_INSIDE = 0.5
"""Share of a hand's keypoints that must lie in the image for a label."""

LEAST_SIDE = 20.0
"""Least longer side of a labelled hand's box, pixels."""

SECOND_READING = 0.7
"""A doubtful place shows a labelled hand again where their boxes share so much of the smaller."""


def label_findings(
    found: Findings, height: int, width: int, *, strict: float, loose: float
) -> list[LabelledHand]:
    """Return labels: surely hands with keypoints, what may be hands to be ignored, no others.

    A hand whose two readings differ, that is cut at the border by more than half, or is smaller
    than `LEAST_SIDE`, is ignored however sure it is. A doubtful place on a hand that is labelled
    (its palm, or the hand with the arm) is left out: to ignore it would hide the label.

    Args:
        found: by a teacher.
        height: of the image, pixels.
        width: of the image, pixels.
        strict: least score of a label.
        loose: least score of what is ignored; what is below counts as background.
    """
    read = found.readings
    boxes = box_of_keypoints(read.keypoints)
    inside = points_inside(read.keypoints, (0, 0, width, height)).mean(1)
    side = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0)
    sure = (found.score >= strict) & read.agree & (inside >= LEAST_INSIDE) & (side >= LEAST_SIDE)
    doubtful = (found.score >= loose) & ~sure
    doubtful &= ~(_shared(boxes, boxes[sure]) >= SECOND_READING).any(axis=1)
    return [
        LabelledHand(
            keypoints=read.keypoints[hand] if sure[hand] else None,
            box=boxes[hand],
            is_right=bool(read.right_probability[hand] >= 0.5),
            score=float(found.score[hand]),
            is_ignored=not sure[hand],
        )
        for hand in np.flatnonzero(sure | doubtful)
    ]


def _shared(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return (N, M) areas that boxes (N, 4) share with others (M, 4), of the smaller area."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    area, other_area = (np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (boxes, others))
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    return np.asarray(shared / np.maximum(np.minimum(area[:, None], other_area), 1e-6))

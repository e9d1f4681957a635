"""What speaks for a hand, summed; and which readings are of one hand."""

from __future__ import annotations

import cv2
import numpy as np

from handmesh_ros.hand.hands import Hands

PRESENCE_WEIGHT, CANDIDATE_WEIGHT, BIAS = 0.55, 1.2, 1.0
"""Weights of the log-odds of presence and of the candidate's score, and what is added: a logistic
regression on candidates of rendered images with exact truth (docs/training.md)."""

LEAST_ODDS = 1e-4
"""Neither reading is taken to be surer than this."""

SAME_HAND_SHARE = 0.5
"""Two readings are of one hand when the hulls of their keypoints share so much of the smaller."""

CONVERGED_DISTANCE = 0.2
"""Or when their keypoints are so near each other, in hand sizes, on average."""


def summed_score(presence: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """Return the (N,) float32 probability that readings are hands.

    Args:
        presence: (N,) probability that the crop shows a hand, of the refinement network.
        candidate: (N,) score of what was looked at, of the single-stage network.
    """
    odds = PRESENCE_WEIGHT * _log_odds(presence) + CANDIDATE_WEIGHT * _log_odds(candidate) + BIAS
    return (1.0 / (1.0 + np.exp(-odds))).astype(np.float32)


def distinct(hands: Hands, evidence: np.ndarray) -> np.ndarray:
    """Return the indices of the readings to keep, the strongest evidence first.

    Fingers are read as a hand of their own, and two crops may end on one hand: nearly all false
    finds are second readings of a hand, so that the weaker of two whose keypoints' hulls overlap
    goes. Boxes would merge hands that hold each other.

    Args:
        hands: N readings.
        evidence: (N,) more is stronger.
    """
    order = np.argsort(-evidence, kind="stable")
    hulls = [cv2.convexHull(points) for points in hands.keypoints_2d.astype(np.float32)]
    areas = np.array([max(cv2.contourArea(hull), 1.0) for hull in hulls])
    low, high = hands.keypoints_2d.min(1), hands.keypoints_2d.max(1)
    size = (high - low).max(1)
    kept: list[int] = []
    for index in order:
        touching = (
            k for k in kept if (low[k] < high[index]).all() and (low[index] < high[k]).all()
        )
        if not any(_same_hand(hands, hulls, areas, size, k, index) for k in touching):
            kept.append(int(index))
    return np.array(kept, np.intp)


def _same_hand(
    hands: Hands, hulls: list, areas: np.ndarray, size: np.ndarray, one: int, other: int
) -> bool:
    gap = hands.keypoints_2d[one] - hands.keypoints_2d[other]
    if np.hypot(gap[:, 0], gap[:, 1]).mean() < CONVERGED_DISTANCE * max(size[one], size[other]):
        return True
    shared, _ = cv2.intersectConvexConvex(hulls[one], hulls[other])
    return bool(shared > SAME_HAND_SHARE * min(areas[one], areas[other]))


def _log_odds(probability: np.ndarray) -> np.ndarray:
    bounded = np.clip(probability.astype(np.float64), LEAST_ODDS, 1.0 - LEAST_ODDS)
    return np.log(bounded / (1.0 - bounded))

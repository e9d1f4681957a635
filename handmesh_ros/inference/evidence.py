"""Fusion of the evidence for a hand, and suppression of duplicate readings."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from handmesh_ros.inference.effort import Effort

PRESENCE_WEIGHT, CANDIDATE_WEIGHT, TRUST_WEIGHT, TURNED = 0.4, 1.1, 1.2, -0.8
"""Weights of the log-odds of presence, of the candidate's score and of the mean confidence of the
keypoints, and what is added for a crop that was turned because the upright one failed: from a
logistic regression on candidates of rendered images and photographs (docs/training.md)."""

BIAS = {Effort.FAST: 1.5, Effort.BALANCED: 1.1, Effort.BEST: 0.8}
"""Bias from the same regression: the more candidates are read, the smaller the share of hands."""

TWO_WAY_PRESENCE, TWO_WAY_CANDIDATE, TWO_WAY_AGREES = 0.9, 0.85, 1.05
TWO_WAY_TURNED, TWO_WAY_BIAS = -0.45, 0.0
"""The same for places that are read twice, as they are and mirrored: of the mean log-odds of
presence, of the candidate's score, for readings that agree, for turned crops, and in any case."""

LEAST_ODDS = 1e-4
"""Neither reading is taken to be surer than this."""

LEAST_TRUST = 0.02
"""Nor the keypoints than this."""

SAME_HAND_SHARE = 0.5
"""Two readings are of one hand when the hulls of their keypoints share so much of the smaller."""

CONVERGED_DISTANCE = 0.2
"""Or when their keypoints are so near each other, in hand sizes, on average."""


def summed_score(
    presence: np.ndarray,
    candidate: np.ndarray,
    trust: np.ndarray,
    effort: Effort,
    *,
    is_turned: bool = False,
) -> np.ndarray:
    """Return the (N,) float32 probability that readings are hands.

    Args:
        presence: (N,) probability that the crop shows a hand, of the refinement network.
        candidate: (N,) score of the candidate from the single-stage network.
        trust: (N,) mean confidence of the keypoints: lettering and faces are read as hands whose
            fingers the network does not believe.
        effort: that found the candidates.
        is_turned: the crops were turned because the upright ones failed.
    """
    odds = PRESENCE_WEIGHT * _log_odds(presence) + CANDIDATE_WEIGHT * _log_odds(candidate)
    odds += TRUST_WEIGHT * _log_odds(trust.clip(LEAST_TRUST, 1.0 - LEAST_TRUST))
    odds += BIAS[effort] + is_turned * TURNED
    return (1.0 / (1.0 + np.exp(-odds))).astype(np.float32)


def two_way_score(
    presence: np.ndarray, candidate: np.ndarray, agree: np.ndarray, is_turned: np.ndarray
) -> np.ndarray:
    """Return the (N,) float32 probability that places are hands that were read several times.

    Args:
        presence: (N, R) probabilities that crops and their mirror images show a hand.
        candidate: (N,) score of the candidate.
        agree: (N,) bool, the readings agree.
        is_turned: (N,) bool, the crop was turned because the upright one failed.
    """
    presence_odds = _log_odds(presence)
    odds = TWO_WAY_PRESENCE * presence_odds.mean(1) + TWO_WAY_CANDIDATE * _log_odds(candidate)
    odds += TWO_WAY_BIAS + TWO_WAY_AGREES * agree + is_turned * TWO_WAY_TURNED
    return (1.0 / (1.0 + np.exp(-odds))).astype(np.float32)


def distinct(keypoints: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """Return the indices of the readings to keep, the strongest evidence first.

    Fingers are read as a hand of their own, and two crops may end on one hand: nearly all false
    finds are second readings of a hand, so that the weaker of two whose keypoints' hulls overlap
    goes. Boxes would merge hands that hold each other.

    Args:
        keypoints: (N, 21, 2) image pixels.
        evidence: (N,) more is stronger.
    """
    outlines = [_Outline.of(points) for points in keypoints]
    kept: list[int] = []
    for index in np.argsort(-evidence, kind="stable").tolist():
        if not any(outlines[index].is_same_hand(outlines[one]) for one in kept):
            kept.append(index)
    return np.array(kept, np.intp)


def are_among(keypoints: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return (N,) whether readings are of one of the other hands, by the rule of `distinct`.

    Args:
        keypoints: (N, 21, 2) image pixels.
        others: (M, 21, 2) image pixels.
    """
    known = [_Outline.of(points) for points in others]
    outlines = map(_Outline.of, keypoints)
    return np.array([any(map(one.is_same_hand, known)) for one in outlines], bool)


class _Outline(NamedTuple):
    """The convex hull of a hand's keypoints, image pixels."""

    keypoints: np.ndarray
    hull: np.ndarray
    area: float
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, keypoints: np.ndarray) -> _Outline:
        points = np.ascontiguousarray(keypoints, np.float32)
        hull = cv2.convexHull(points)
        return cls(points, hull, max(cv2.contourArea(hull), 1.0), points.min(0), points.max(0))

    def is_same_hand(self, other: _Outline) -> bool:
        if (self.low > other.high).any() or (other.low > self.high).any():
            return False
        gap = self.keypoints - other.keypoints
        size = max((self.high - self.low).max(), (other.high - other.low).max())
        if np.hypot(gap[:, 0], gap[:, 1]).mean() < CONVERGED_DISTANCE * size:
            return True
        shared, _ = cv2.intersectConvexConvex(self.hull, other.hull)
        return bool(shared > SAME_HAND_SHARE * min(self.area, other.area))


def _log_odds(probability: np.ndarray) -> np.ndarray:
    bounded = np.clip(probability.astype(np.float64), LEAST_ODDS, 1.0 - LEAST_ODDS)
    return np.log(bounded / (1.0 - bounded))

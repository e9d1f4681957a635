"""From the landmarks' definition of the joints to this project's, for labels of photographs.

MediaPipe puts its landmarks where people mark them, mostly on the skin; this project's keypoints
are the joints of its hand model. Rendered hands show the difference where both are known and the
landmarks are right; labels of photographs are moved by what a linear model makes of it.
"""

from __future__ import annotations

import numpy as np

from handmesh_ros.hand.conventions import CROP_SIDE
from handmesh_ros.training.refinement.features import Features

LEAST_SHOWN, LARGEST_ERROR = 0.9, 0.1
"""Learnt from hands that are seen to the first share and whose landmarks are all nearer than the
second, in sizes of the hand."""

LEAST_HANDS = 50
"""Fewer show nothing."""

LARGEST_SHIFT = 0.25
"""Of a keypoint, in the landmarks' spread."""

_RIDGE = 0.02


class DefinitionShift:
    """A linear model from landmarks to how far the project's keypoints are from them.

    Args:
        features: of rendered crops.
    """

    def __init__(self, features: Features) -> None:
        distance = np.linalg.norm(_landmarks(features) - _true(features), axis=-1)
        sure = (distance < LARGEST_ERROR * _size(features)[:, None]).all(1)
        shown = (features["is_hand"] > 0) & (features["has_3d"] > 0)
        chosen = np.flatnonzero(shown & sure & (features["visible_fraction"] > LEAST_SHOWN))
        self.hands = len(chosen)
        rows = {name: values[chosen] for name, values in features.items()}
        self._weights = np.zeros((64, 42))
        if self.hands < LEAST_HANDS:
            return
        given, spread, flip = _inputs(rows)
        shift = (_true(rows) - _landmarks(rows)) / spread * flip
        wanted = shift.reshape(-1, 42)
        square = given.T @ given + _RIDGE * self.hands * np.eye(64)
        self._weights = np.linalg.solve(square, given.T @ wanted)

    def of(self, features: Features) -> np.ndarray:
        """Return (N, 21, 2) how far the keypoints are from the landmarks, image pixels."""
        given, spread, flip = _inputs(features)
        shift = np.clip((given @ self._weights).reshape(-1, 21, 2), -LARGEST_SHIFT, LARGEST_SHIFT)
        return np.asarray(np.einsum("nij,nkj->nki", _turn(features), shift * spread * flip))

    def moved(self, features: Features) -> Features:
        """Return features whose labels without 3D truth are in this project's definition."""
        flat = (features["has_3d"] == 0) & (features["is_hand"] > 0)
        rows = {name: values[flat] for name, values in features.items()}
        keypoints = features["keypoints_2d"].copy()
        keypoints[flat] += self.of(rows).astype(np.float32)
        return {**features, "keypoints_2d": keypoints}


def _turn(features: Features) -> np.ndarray:
    return features["to_image"][:, :, :2].astype(np.float64)


def _landmarks(features: Features) -> np.ndarray:
    """Return (N, 21, 2) crop pixels."""
    return features["landmarks"][..., :2].astype(np.float64)


def _true(features: Features) -> np.ndarray:
    """Return (N, 21, 2) true keypoints, crop pixels."""
    shift = features["to_image"][:, None, :, 2]
    points = features["keypoints_2d"].astype(np.float64) - shift
    return np.asarray(points @ np.linalg.inv(_turn(features)).transpose(0, 2, 1))


def _size(features: Features) -> np.ndarray:
    """Return (N,) longer sides of the boxes, crop pixels."""
    box = features["box"]
    side = np.hypot(features["to_image"][:, 0, 0], features["to_image"][:, 1, 0])
    return np.maximum((box[:, 2:] - box[:, :2]).max(1, initial=0) / side, 0.1 * CROP_SIDE)


def _inputs(features: Features) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (N, 64) landmarks as of right hands, (N, 1, 1) spreads and (N, 1, 2) flips."""
    right = features["is_right"].astype(np.float64)[:, None] * 2 - 1
    flip = np.concatenate([right, np.ones_like(right)], axis=1)[:, None]
    points = _landmarks(features)
    points = points - points.mean(1, keepdims=True)
    spread = 2 * np.sqrt((points**2).sum(-1).mean(1) + 1e-6)[:, None, None]
    depth = features["landmarks"][..., 2] / spread[..., 0]
    flat = (points / spread * flip).reshape(len(points), 42)
    return np.concatenate([flat, depth, np.ones((len(points), 1))], axis=1), spread, flip

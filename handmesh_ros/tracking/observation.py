"""Observations: the detections of one image in the state coordinates of the tracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handmesh_ros.hand.conventions import RIGHT
from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.rotations import quaternions
from handmesh_ros.hand.size import hand_length

NEAREST_M = 1e-2
SURE_SIDE = 0.95
"""Upper bound of the probability of a side in a single image."""


@dataclass(frozen=True)
class Observation:
    """N detections as parallel arrays.

    Attributes:
        points: (N, 25, 2) float64: x/z, y/z of the wrist; log of its z in metres and a zero;
            21 keypoints and the two corners of the box, pixels.
        turns: (N, 16, 4) unit quaternions x, y, z, w, model joint order.
        local_joints: (N, 21, 3) keypoints in the wrist's own frame, metres.
        vertices: (N, V, 3) float32, metres, camera frame.
        wrist: (N, 3) float32, metres, camera frame.
        turn: (N, 3, 3) float32, the wrist's rotation.
        length: (N,) hand length, metres.
        is_right: (N,) the likelier side.
        side_odds: (N,) log-odds of a right hand.
        score: (N,) confidence.
        source: (N,) uint8, values of `ScaleSource`.
        shape: (N, B) shape coefficients.
        colors: (N, V, 3) float32.
        keypoint_scores: (N, 21) float32, confidence of each keypoint.
        refined: (N,) read off the hand's own crop.
    """

    points: np.ndarray
    turns: np.ndarray
    local_joints: np.ndarray
    vertices: np.ndarray
    wrist: np.ndarray
    turn: np.ndarray
    length: np.ndarray
    is_right: np.ndarray
    side_odds: np.ndarray
    score: np.ndarray
    source: np.ndarray
    shape: np.ndarray
    colors: np.ndarray
    keypoint_scores: np.ndarray
    refined: np.ndarray

    @classmethod
    def of(cls, hands: Hands) -> Observation:
        """Return the measurement that hands are."""
        wrist, turn = hands.translation, hands.rotations[:, 0]
        points = np.zeros((len(hands), 25, 2))
        depth = np.maximum(wrist[:, 2:], NEAREST_M)
        points[:, 0] = wrist[:, :2] / depth
        points[:, 1, 0] = np.log(depth[:, 0])
        points[:, 2:23] = hands.keypoints_2d
        points[:, 23:] = hands.box.reshape(-1, 2, 2)
        bounded = np.clip(hands.right_probability.astype(float), 1.0 - SURE_SIDE, SURE_SIDE)
        return cls(
            points=points,
            turns=quaternions(hands.rotations),
            local_joints=((hands.joints - wrist[:, None]) @ turn).astype(float),
            vertices=hands.vertices,
            wrist=wrist,
            turn=turn,
            length=np.maximum(hand_length(hands.joints).astype(float), 1e-6),
            is_right=hands.handedness == RIGHT,
            side_odds=np.log(bounded / (1.0 - bounded)),
            score=hands.score.astype(float),
            source=hands.scale_source,
            shape=hands.shape.astype(float),
            colors=hands.colors,
            keypoint_scores=hands.keypoint_scores,
            refined=hands.refined,
        )

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, index: np.ndarray) -> Observation:
        """Return the chosen hands."""
        if len(index) == len(self) and (np.diff(index) == 1).all():
            return self  # All of them in order: the usual case.
        return Observation(**{name: values[index] for name, values in vars(self).items()})

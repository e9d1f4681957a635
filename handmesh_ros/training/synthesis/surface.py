"""Posing the hand models in numpy: what the renderer draws and what the truth says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from handmesh_ros.hand.conventions import KEYPOINT_FROM_MODEL_JOINT, MIRROR

if TYPE_CHECKING:
    from handmesh_ros.hand.template import HandTemplate


@dataclass
class PosedHand:
    """One hand in the camera frame.

    Attributes:
        vertices: (V, 3) metres.
        joints: (J, 3) model joints, metres.
    """

    vertices: np.ndarray
    joints: np.ndarray

    def keypoints(self, fingertips: np.ndarray) -> np.ndarray:
        """Return the (21, 3) keypoints; `fingertips` are vertex numbers thumb to little."""
        keypoints = self.joints[np.maximum(KEYPOINT_FROM_MODEL_JOINT, 0)]
        keypoints[[4, 8, 12, 16, 20]] = self.vertices[fingertips]
        return keypoints


def pose_hand(
    template: HandTemplate,
    rotations: np.ndarray,
    shape: np.ndarray,
    is_right: bool,
    translation: np.ndarray,
) -> PosedHand:
    """Skin a hand model (linear blend skinning), with the meaning of `HandModel.forward`.

    Args:
        template: the hand model.
        rotations: (J, 3, 3), the wrist's in the camera frame, the others relative to the parent.
        shape: (10,) coefficients.
        is_right: whether it is a right hand; a left one is the mirrored right one.
        translation: (3,) wrist in the camera frame, metres.
    """
    count = template.weights.shape[1]
    local = rotations if is_right else MIRROR @ rotations @ MIRROR
    rest = template.joint_template + template.joint_shape_dirs @ shape
    if count > len(rest):
        rest = np.concatenate([rest, rest[:1]])
    turn, place = np.empty((count, 3, 3)), np.zeros((count, 3))
    turn[0] = local[0]
    for joint in range(1, count):
        parent = template.parents[joint]
        turn[joint] = turn[parent] @ local[joint]
        place[joint] = place[parent] + turn[parent] @ (rest[joint] - rest[parent])
    offset = place - np.einsum("jab,jb->ja", turn, rest)
    blend = template.weights @ np.concatenate([turn.reshape(count, 9), offset], axis=1)
    flat = template.template + template.shape_dirs @ shape
    vertices = np.einsum("vab,vb->va", blend[:, :9].reshape(-1, 3, 3), flat) + blend[:, 9:]
    if not is_right:
        vertices, place = vertices @ MIRROR, place @ MIRROR
    return PosedHand(vertices + translation, place + translation)

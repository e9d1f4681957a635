"""Which joints the camera can see: inside the image, and not behind a hand."""

from __future__ import annotations

import numpy as np

from handmesh_ros.hand.conventions import SKELETON

SPHERE_M = 0.009
"""Radius of the spheres, at the joints and at the middles of the bones, that stand for a hand."""

IN_FRONT_M = 0.02
"""A sphere hides a joint when it is nearer to the camera by more than this."""

_NEAREST_M = 1e-3

_SPHERES = np.eye(21, dtype=np.float32)
_SPHERES = np.concatenate([_SPHERES, _SPHERES[np.array(SKELETON)].mean(1)])
"""(41, 21) keypoints to the places of the spheres."""


def is_inside(keypoints_2d: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Return (N, 21) whether keypoints lie in the image.

    Args:
        keypoints_2d: (N, 21, 2) pixels.
        image_size: (height, width), pixels.
    """
    beyond = np.array(image_size[::-1], np.float32) - np.float32(0.5)
    inside = (keypoints_2d >= -0.5) & (keypoints_2d < beyond)
    return inside[..., 0] & inside[..., 1]


def is_unobstructed(joints: np.ndarray, is_seen: np.ndarray) -> np.ndarray:
    """Return (N, 21) whether no part of a hand that is seen is before a joint.

    Hands are spheres along their bones; those of the joint's own bones lie too near to hide it.
    Other things in the scene are not known here.

    Args:
        joints: (N, 21, 3) metres, camera frame, all hands of one image.
        is_seen: (N,) the image shows them: where the others are, nobody knows.
    """
    count = len(joints)
    if not is_seen.any():
        return np.ones((count, 21), bool)
    spheres = (_SPHERES @ joints[is_seen]).reshape(-1, 3)
    points = joints.reshape(-1, 3)
    distance = np.maximum(np.sqrt(np.einsum("pd,pd->p", points, points)), _NEAREST_M)
    along = (points / distance[:, None]) @ spheres.T
    # The ray meets a sphere where the square of its distance to the middle, |s|² - along², is
    # less than that of the radius.
    hidden = along * along > np.einsum("sd,sd->s", spheres, spheres) - np.float32(SPHERE_M**2)
    hidden &= along > _NEAREST_M
    hidden &= along < distance[:, None] - np.float32(IN_FRONT_M)
    return ~hidden.any(1).reshape(count, 21)

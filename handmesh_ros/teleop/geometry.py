"""Directions and frames of a hand that grasps, from its 21 keypoints alone."""

from __future__ import annotations

import numpy as np

from handmesh_ros.hand.conventions import (
    INDEX_TIP,
    SKELETON,
    THUMB_TIP,
    WRIST,
    operator_frame,
)
from handmesh_ros.hand.vectors import cross, lengths, units

THUMB_HINGE = np.array([0.53, 0.43, -0.73])
"""Axis about which the thumb closes in an open right hand, in the operator frame of the wrist
(of the bundled hand model; a left hand's is its mirror image)."""

PRIOR_WEIGHT = 1.0
"""Weight of a finger's usual hinge against the one that its bend shows, which has the weight of
the bend's sine: a straight finger shows none."""

CHAINS = np.array([[WRIST, *range(4 * f + 1, 4 * f + 5)] for f in range(5)])
"""(5, 5) keypoints of each finger, thumb to little, from the wrist to the tip."""


def pinch_aperture(joints: np.ndarray) -> np.ndarray:
    """Return the distance of thumb tip and index tip.

    Args:
        joints: (..., 21, 3) keypoints, metres.

    Returns:
        (...) metres.
    """
    return lengths(joints[..., THUMB_TIP, :] - joints[..., INDEX_TIP, :])


def pinch_point(joints: np.ndarray) -> np.ndarray:
    """Return the middle between thumb tip and index tip, (..., 3) in the frame of `joints`."""
    return 0.5 * (joints[..., THUMB_TIP, :] + joints[..., INDEX_TIP, :])


def palm_normal(joints: np.ndarray, is_right: np.ndarray | bool) -> np.ndarray:
    """Return the direction out of the palm: the x axis of the operator frame.

    Args:
        joints: (..., 21, 3) keypoints, metres.
        is_right: (...) True for right hands.

    Returns:
        (..., 3) unit vectors in the frame of `joints`.
    """
    return operator_frame(joints, is_right)[..., 0]


def approach_direction(joints: np.ndarray) -> np.ndarray:
    """Return the direction from the wrist to the pinch point.

    A two-finger gripper in the place of thumb and index finger reaches this way. It stays defined
    when both tips meet.

    Args:
        joints: (..., 21, 3) keypoints, metres.

    Returns:
        (..., 3) unit vectors in the frame of `joints`; zero where the wrist is at the pinch point.
    """
    return units(pinch_point(joints) - joints[..., WRIST, :])


def bone_frames(joints: np.ndarray, is_right: np.ndarray | bool) -> np.ndarray:
    """Return a frame at every keypoint, with the meaning of the operator frame.

    +Z runs along the bone that begins at the keypoint towards the tip (at a tip: along the last
    bone), +X points out of the finger's palmar side, +Y completes the right-handed frame. The
    wrist has the operator frame. The side that is palmar follows from the finger's bend where
    it is bent, else from the palm.

    Args:
        joints: (..., 21, 3) keypoints, metres.
        is_right: (...) True for right hands.

    Returns:
        (..., 21, 3, 3) rotations whose columns are the axes in the frame of `joints`.
    """
    joints = np.asarray(joints, np.float64)
    wrist = operator_frame(joints, is_right)
    bones = np.stack([joints[..., b, :] - joints[..., a, :] for a, b in SKELETON], axis=-2)
    along = units(bones).reshape(*joints.shape[:-2], 5, 4, 3)
    bends = cross(along[..., :-1, :], along[..., 1:, :])
    bends[..., 0, 0, :] = 0.0  # the thumb's first joint is a saddle: it does not only close
    bends = bends.sum(-2)
    hinges = units(bends + PRIOR_WEIGHT * _usual_hinges(wrist, is_right))[..., None, :]
    z_axis = np.concatenate([along[..., 1:, :], along[..., -1:, :]], axis=-2)
    x_axis = units(cross(hinges, z_axis))
    frames = np.stack([x_axis, cross(z_axis, x_axis), z_axis], axis=-1)
    frames = frames.reshape(*joints.shape[:-2], 20, 3, 3)
    return np.concatenate([wrist[..., None, :, :], frames], axis=-3)


def _usual_hinges(wrist: np.ndarray, is_right: np.ndarray | bool) -> np.ndarray:
    """Return (..., 5, 3) the axis about which each finger usually closes."""
    right = np.asarray(is_right, bool)[..., None]
    thumb = np.where(right, THUMB_HINGE, THUMB_HINGE * [-1.0, 1.0, -1.0])
    thumb = (wrist @ thumb[..., None])[..., 0]
    fingers = np.broadcast_to(wrist[..., None, :, 1], (*thumb.shape[:-1], 4, 3))
    return np.concatenate([thumb[..., None, :], fingers], axis=-2)

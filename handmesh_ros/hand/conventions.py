"""Joint orders, frames and units: the one place where they are written down.

Keypoints (21, OpenPose and MediaPipe order): wrist, then thumb, index, middle, ring and little
finger, each from the palm to the tip. Model joints (16, MANO's native order): wrist, then index,
middle, little, ring, thumb with three joints each and no tips. The conversion between them stands
here and is done inside the hand model only.

Camera frame: optical convention, x right, y down, z forward, metres. Image coordinates: pixels,
the centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

import numpy as np

from handmesh_ros.hand.vectors import cross, lengths

LEFT, RIGHT = 0, 1
SIDES = ("left", "right")

KEYPOINT_NAMES = (
    "wrist",
    *(f"thumb_{part}" for part in ("cmc", "mcp", "ip", "tip")),
    *(
        f"{finger}_{part}"
        for finger in ("index", "middle", "ring", "little")
        for part in ("mcp", "pip", "dip", "tip")
    ),
)
"""21 names, in the order of every `joints` and `keypoints_2d` array of this project."""

MODEL_JOINT_NAMES = (
    "wrist",
    *(
        f"{finger}_{part}"
        for finger in ("index", "middle", "little", "ring", "thumb")
        for part in ("1", "2", "3")
    ),
)
"""16 names, in the order of every `rotations` array (MANO's native order)."""

MODEL_PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
"""Parent of each of the 16 model joints; -1 for the root (wrist)."""

KEYPOINT_FROM_MODEL_JOINT = (
    0, 13, 14, 15, -1, 1, 2, 3, -1, 4, 5, 6, -1, 10, 11, 12, -1, 7, 8, 9, -1,
)  # fmt: skip
"""For each of the 21 keypoints its model joint, or -1 where the keypoint is a fingertip."""

FINGERTIP_KEYPOINTS = (4, 8, 12, 16, 20)
"""Keypoint indices of the fingertips: thumb, index, middle, ring, little."""

WRIST, MIDDLE_MCP, INDEX_MCP, LITTLE_MCP, THUMB_TIP, INDEX_TIP = 0, 9, 5, 17, 4, 8

SKELETON = tuple(
    (0 if part == 0 else 4 * finger + part, 4 * finger + part + 1)
    for finger in range(5)
    for part in range(4)
)
"""20 bones as (parent, child) keypoint indices."""

CROP_SIDE = 224
"""Pixels of the side of a crop that shows one hand: what the landmark network was trained on."""

_IDENTITY = np.eye(3)
MIRROR = np.diag([-1.0, 1.0, 1.0])
"""Reflection through the plane x = 0 that maps a right hand onto a left one."""


def operator_frame(joints: np.ndarray, is_right: np.ndarray | bool) -> np.ndarray:
    """Return the operator frame of the wrist.

    +Z points from the wrist to the middle MCP, +Y from the little to the thumb side on a right
    hand and the other way on a left one, +X out of the palm on both sides. These are
    dex-retargeting's directions; its own estimate of them goes by fewer keypoints and is rolled
    about +Z by some 9°: `teleop/retargeting.dex_retargeting_frame`.

    Args:
        joints: (..., 21, 3) keypoints, metres, any frame.
        is_right: (...) True for right hands.

    Returns:
        (..., 3, 3) rotations whose columns are the axes X, Y, Z in the frame of `joints`.
        Degenerate hands (three collinear palm keypoints) give the identity.
    """
    joints = np.asarray(joints, dtype=np.float64)
    right = np.asarray(is_right, dtype=bool)
    z_axis = joints[..., MIDDLE_MCP, :] - joints[..., WRIST, :]
    across = joints[..., INDEX_MCP, :] - joints[..., LITTLE_MCP, :]
    across = np.where(right[..., None], across, -across)
    z_norm = lengths(z_axis, keepdims=True)
    z_axis = z_axis / np.where(z_norm > 0, z_norm, 1.0)
    y_axis = across - (across * z_axis).sum(-1, keepdims=True) * z_axis
    y_norm = lengths(y_axis, keepdims=True)
    y_axis = y_axis / np.where(y_norm > 0, y_norm, 1.0)
    frame = np.stack([cross(y_axis, z_axis), y_axis, z_axis], axis=-1)
    degenerate = (z_norm[..., 0] < 1e-9) | (y_norm[..., 0] < 1e-9)
    return np.where(degenerate[..., None, None], _IDENTITY, frame)

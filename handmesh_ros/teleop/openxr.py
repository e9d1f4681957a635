"""Hands as OpenXR's 26 joints, `XR_HAND_JOINT_SET_DEFAULT_EXT` of XR_EXT_hand_tracking.

Its specification ("Conventions of hand joints") names a joint after the bone that begins at it.
+Z runs along this bone away from the fingertip, +Y out of the back of the hand or finger, +X
completes the right-handed frame; the radius is the distance to the skin. Our keypoints have
neither the palm nor the beginnings of the four fingers' metacarpals: they are placed by the
proportions below. Our fingertips lie on the skin, OpenXR's are put one radius inside, so that a
ball of this radius touches what the finger touches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handmesh_ros.hand.conventions import FINGERTIP_KEYPOINTS, MIDDLE_MCP, WRIST
from handmesh_ros.hand.rotations import quaternions
from handmesh_ros.hand.size import hand_length
from handmesh_ros.teleop.geometry import bone_frames

OPENXR_JOINT_NAMES = (
    "palm",
    "wrist",
    *(f"thumb_{bone}" for bone in ("metacarpal", "proximal", "distal", "tip")),
    *(
        f"{finger}_{bone}"
        for finger in ("index", "middle", "ring", "little")
        for bone in ("metacarpal", "proximal", "intermediate", "distal", "tip")
    ),
)
"""26 names in the order of `XrHandJointEXT`."""

CAMERA_TO_OPENXR = np.diag([1.0, -1.0, -1.0])
"""From the optical frame (x right, y down, z forward) to OpenXR's axes at the same place (x right,
y up, z backward)."""

CARPUS_RATIO = 0.3
"""Length of the carpus, over the way from the wrist to a knuckle along the hand."""

CARPUS_WIDTH_RATIO = 0.5
"""How far apart the metacarpals begin, over how far apart the knuckles are."""

RADIUS_RATIO = np.array(
    [
        *(0.075, 0.100),
        *(0.067, 0.060, 0.045, 0.035),
        *(0.100, 0.054, 0.044, 0.040, 0.032),
        *(0.105, 0.060, 0.045, 0.038, 0.032),
        *(0.105, 0.056, 0.044, 0.036, 0.031),
        *(0.095, 0.050, 0.037, 0.031, 0.027),
    ]
)
"""(26,) half the thickness of the bundled hand model at each joint, over the hand's length."""

_PALM = OPENXR_JOINT_NAMES.index("palm")
_METACARPALS, _MIDDLE_METACARPAL = (6, 11, 16, 21), 11
_KNUCKLES = (5, 9, 13, 17)
INVENTED = np.zeros(26, bool)
"""(26,) True for the joints that no keypoint shows: they follow from the others."""
INVENTED[[_PALM, *_METACARPALS]] = True

_SAME = [index for index in range(1, 26) if index not in _METACARPALS]
_TIPS = [_SAME[keypoint] for keypoint in FINGERTIP_KEYPOINTS]


@dataclass(frozen=True)
class OpenXRHands:
    """Joints in the order of `OPENXR_JOINT_NAMES`, as `XrHandJointLocationEXT` wants them.

    Attributes:
        position: (..., 26, 3) metres, base space.
        orientation: (..., 26, 4) unit quaternions x, y, z, w, base space.
        radius: (..., 26) metres.
        valid: (..., 26) bool, position and orientation are there (the `VALID` bits).
        tracked: (..., 26) bool, they were seen now (the `TRACKED` bits): not those `INVENTED`, nor
            any of a hand that is held from before.
    """

    position: np.ndarray
    orientation: np.ndarray
    radius: np.ndarray
    valid: np.ndarray
    tracked: np.ndarray


def to_openxr(
    joints: np.ndarray,
    is_right: np.ndarray | bool,
    base_rotation: np.ndarray = CAMERA_TO_OPENXR,
) -> OpenXRHands:
    """Return hands as OpenXR's 26 joints.

    Args:
        joints: (..., 21, 3) keypoints, metres, such as `Hands.joints`.
        is_right: (...) True for right hands.
        base_rotation: (3, 3) from the frame of `joints` to the base space; both have one origin.
    """
    joints = np.asarray(joints, np.float64)
    frames = bone_frames(joints, is_right)
    wrist, across, along = joints[..., WRIST, :], frames[..., 0, :, 1], frames[..., 0, :, 2]
    radius = hand_length(joints)[..., None] * RADIUS_RATIO
    position = np.zeros((*joints.shape[:-2], 26, 3))
    axes = np.zeros((*joints.shape[:-2], 26, 3, 3))
    position[..., _SAME, :], axes[..., _SAME, :, :] = joints, frames
    tips = joints[..., FINGERTIP_KEYPOINTS, :]
    inside = radius[..., _TIPS, None] * frames[..., FINGERTIP_KEYPOINTS, :, :][..., 2]
    position[..., _TIPS, :] = tips - inside

    middle = joints[..., MIDDLE_MCP, :] - wrist
    for index, knuckle in zip(_METACARPALS, _KNUCKLES, strict=True):
        reach = joints[..., knuckle, :] - wrist
        forward = (reach * along).sum(-1, keepdims=True) * along
        beside = ((reach - middle) * across).sum(-1, keepdims=True) * across
        begin = wrist + CARPUS_RATIO * forward + CARPUS_WIDTH_RATIO * beside
        position[..., index, :] = begin
        axes[..., index, :, :] = _along(joints[..., knuckle, :] - begin, across)
    metacarpal = position[..., _MIDDLE_METACARPAL, :]
    position[..., _PALM, :] = 0.5 * (metacarpal + joints[..., MIDDLE_MCP, :])
    axes[..., _PALM, :, :] = axes[..., _MIDDLE_METACARPAL, :, :]

    # Ours: x out of the palm, y across, z to the tip. OpenXR's: y out of the back, z to the wrist.
    axes = base_rotation @ -axes[..., [1, 0, 2]]
    valid = np.asarray(np.isfinite(position).all(-1))
    return OpenXRHands(
        position=position @ np.asarray(base_rotation).T,
        orientation=quaternions(axes),
        radius=radius,
        valid=valid,
        tracked=valid & ~INVENTED,
    )


def _along(bone: np.ndarray, hinge: np.ndarray) -> np.ndarray:
    """Return the (..., 3, 3) frame of a bone, in our axes, that closes about a hinge."""
    z_axis = bone / np.maximum(np.linalg.norm(bone, axis=-1, keepdims=True), 1e-9)
    x_axis = np.cross(hinge, z_axis)
    x_axis = x_axis / np.maximum(np.linalg.norm(x_axis, axis=-1, keepdims=True), 1e-9)
    return np.stack([x_axis, np.cross(z_axis, x_axis), z_axis], axis=-1)

"""Losses that need no 3D label: what a hand can do, and that its two descriptions agree.

Pure functions in the style of `losses`: each is zero for a possible, consistent hand.

Shapes: N hands, V vertices.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from handmesh_ros.hand.template import HandTemplate

_INDEX_MCP = ((-5, 5), (-10, 10), (-10, 100))
_RING_MCP = ((-15, 5), (-10, 15), (-10, 100))
_LITTLE_MCP = ((-20, 5), (-10, 20), (-10, 100))
_PIP = ((-5, 5), (-5, 5), (-10, 110))
_DIP = ((-5, 5), (-5, 5), (-10, 100))
_THUMB = (((-35, 22), (-32, 30), (-30, 60)), ((-5, 10), (-8, 22), (-22, 45)),
          ((-22, 5), (-10, 22), (-20, 100)))  # fmt: skip

JOINT_LIMITS = (
    _INDEX_MCP, _PIP, _DIP, _INDEX_MCP, _PIP, _DIP, _LITTLE_MCP, _PIP, _DIP, _RING_MCP, _PIP, _DIP,
    *_THUMB,
)  # fmt: skip
"""Of the 15 finger joints in model order: least and greatest roll, azimuth and pitch, degrees.

The paper's table, with three changes that its own hand model does not need: PIP joints bend to
110° as people's do (paper: 100°), the ring finger's MCP leans outwards as half the little one's
does, and the thumb's ranges are those of our flat hand's thumb, which lies out to the side (paper,
for MANO's: 0…90/−22.5…33.75/±22.5, ±5/±5/±22.5, ±5/±5/−20…100).
"""

_FINGER_ENDS = {2: 1, 5: 2, 8: 4, 11: 3, 14: 0}
"""Of each finger's last joint among the 15 its fingertip."""


def joint_frames(template: HandTemplate) -> Tensor:
    """Return (15, 3, 3) frames of the finger joints of the flat right hand, axes as columns.

    Roll is about the finger, towards its tip; pitch about the axis that closes the joint; azimuth
    about the axis that completes a right-handed frame (roll, azimuth, pitch). A hand model without
    `flexion_axes` bends about z, as MANO's axes have it.

    Args:
        template: the hand model.
    """
    joints, tips = template.joint_template, template.template[template.fingertips]
    axes = template.flexion_axes if template.flexion_axes.size else np.tile([0, 0, 1.0], (15, 1))
    frames = []
    for joint in range(15):
        end = tips[_FINGER_ENDS[joint]] if joint in _FINGER_ENDS else joints[joint + 2]
        pitch = axes[joint] / np.linalg.norm(axes[joint])
        roll = end - joints[joint + 1]
        roll = roll - (roll @ pitch) * pitch
        roll = roll / np.linalg.norm(roll)
        frames.append(np.stack([roll, np.cross(pitch, roll), pitch], axis=1))
    return torch.from_numpy(np.stack(frames).astype(np.float32))


def joint_angles(rotations: Tensor, frames: Tensor) -> Tensor:
    """Return (N, 15, 3) roll, azimuth and pitch, radians: R = pitch · azimuth · roll in its frame.

    Args:
        rotations: (N, 16, 3, 3) of right hands (`HandParameters.rotations`); the wrist's is not
            used.
        frames: from `joint_frames`.
    """
    local = frames.transpose(1, 2) @ rotations[:, 1:] @ frames
    pitch = torch.atan2(local[..., 1, 0], local[..., 0, 0])
    azimuth = torch.asin((-local[..., 2, 0]).clamp(-0.9999, 0.9999))
    roll = torch.atan2(local[..., 2, 1], local[..., 2, 2])
    # The roll axis points to the tip, azimuth as in the paper's table grows to the thumb's side.
    return torch.stack([roll, -azimuth, pitch], dim=-1)


def joint_limits(rotations: Tensor, frames: Tensor) -> Tensor:
    """Return how far joint angles are beyond `JOINT_LIMITS`, radians, mean of the 45 angles.

    Args:
        rotations: (N, 16, 3, 3) of right hands (`HandParameters.rotations`).
        frames: from `joint_frames`.
    """
    limits = torch.tensor(JOINT_LIMITS, dtype=rotations.dtype, device=rotations.device)
    low, high = (limits * (math.pi / 180)).unbind(-1)
    angles = joint_angles(rotations, frames.to(rotations))
    beyond = (low - angles).clamp(min=0) + (angles - high).clamp(min=0)
    return beyond.mean() if len(beyond) else rotations.sum() * 0


def keypoint_consistency(keypoints: Tensor, projected: Tensor, size: Tensor) -> Tensor:
    """Return the distance between the 2D keypoint head and the projected joints, in hand sizes.

    The 2D head learns from every labelled photograph and is the better of the two, so that it is
    the target and gets no gradient: the mesh follows what is seen. The clamp keeps a hand that is
    still placed wildly from drowning the others.

    Args:
        keypoints: (N, 21, 2) network pixels, of the 2D head.
        projected: (N, 21, 2) network pixels, of the mesh.
        size: (N,) of the hands in the image, network pixels.
    """
    apart = (projected - keypoints.detach()).abs() / size.detach().clamp(min=4)[:, None, None]
    return apart.clamp(max=2).mean() if len(apart) else projected.sum() * 0

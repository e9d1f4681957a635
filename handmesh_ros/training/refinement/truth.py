"""The truth of crops, as the pose head sees hands: right ones, in the virtual camera."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from handmesh_ros.hand.conventions import CROP_SIDE, WRIST
from handmesh_ros.hand.model import mirror_rotations
from handmesh_ros.network.pose_head import CropCamera

LEAST_SIZE = 0.1
"""A hand counts as no smaller than this, crop units, where errors are divided by its size."""


class CropTruth(NamedTuple):
    """Labels of N crops; rows without a hand, or without 3D labels, hold what means nothing.

    Attributes:
        is_hand: (N,) 1 where the crop is of a hand.
        has_3d: (N,) 1 where `rotations`, `shape`, `joints`, `depth` and `colors` are known.
        is_right: (N,) 1 for right hands.
        keypoints: (N, 21, 2) crop pixels.
        inside: (N, 21) 1 for keypoints inside the image.
        visible: (N, 21) 1 for those that nothing hides.
        size: (N,) longer side of the hand's box, crop pixels.
        seen: (N, 21, 2) the keypoints of the right hand in the virtual camera, crop units.
        rotations: (N, 16, 3, 3) of the right hand there.
        shape: (N, 10).
        joints: (N, 21, 3) of the right hand there, metres from its wrist.
        depth: (N,) of the wrist there, metres.
        colors: (N, V, 3) sRGB albedo in [0, 1].
    """

    is_hand: Tensor
    has_3d: Tensor
    is_right: Tensor
    keypoints: Tensor
    inside: Tensor
    visible: Tensor
    size: Tensor
    seen: Tensor
    rotations: Tensor
    shape: Tensor
    joints: Tensor
    depth: Tensor
    colors: Tensor


def truth_of(batch: dict[str, Tensor], camera: CropCamera) -> CropTruth:
    """Return the truth of N crops.

    Args:
        batch: rows of `features.Features` as tensors.
        camera: of the crops.
    """
    points = batch["keypoints_2d"].float()
    turn, shift = camera.to_image[:, :, :2], camera.to_image[:, None, :, 2]
    keypoints = (points - shift) @ torch.linalg.inv(turn).transpose(1, 2)
    is_right = batch["is_right"].float()
    sign = is_right[:, None] * 2 - 1  # (N, 1)
    ones = torch.ones_like(sign)
    box = batch["box"].float()
    scale = torch.sqrt((turn[:, :, 0] ** 2).sum(1))
    size = (box[:, 2:] - box[:, :2]).amax(1) / scale
    has_3d = batch["has_3d"].float()
    identity = torch.eye(3).expand_as(batch["rotations"])
    rotations = torch.where(has_3d[:, None, None, None] > 0, batch["rotations"].float(), identity)
    back = camera.rotation.transpose(1, 2)
    rotations = torch.cat([back[:, None] @ rotations[:, :1], rotations[:, 1:]], 1)
    joints = batch["joints"].float() @ camera.rotation
    from_wrist = (joints - joints[:, WRIST : WRIST + 1]) * torch.cat([sign, ones, ones], 1)[
        :, None
    ]
    extent = batch["extent"].float()[:, None]
    return CropTruth(
        is_hand=batch["is_hand"].float(),
        has_3d=has_3d * batch["is_hand"].float(),
        is_right=is_right,
        keypoints=keypoints,
        inside=((points > -0.5) & (points < extent - 0.5)).all(-1).float(),
        visible=batch["keypoints_visible"].float(),
        size=size.clamp(min=LEAST_SIZE * CROP_SIDE),
        seen=camera.see(keypoints) * torch.cat([sign, ones], 1)[:, None],
        rotations=mirror_rotations(rotations, is_right),
        shape=batch["shape"].float(),
        joints=from_wrist,
        depth=joints[:, WRIST, 2].clamp(min=0.05),
        colors=batch["colors"].float() / 255,
    )

"""From a hand's parameters, seen along its ray, to joints and vertices in the camera frame."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from handmesh_ros.hand.model import HandModel, mirror_rotations
from handmesh_ros.network.heads import HandParameters


class HandGeometry(NamedTuple):
    """N hands in the camera frame, metres.

    Attributes:
        joints: (N, 21, 3).
        vertices: (N, V, 3).
        rotations: (N, 16, 3, 3), the wrist's in the camera frame.
        translation: (N, 3), the wrist.
    """

    joints: Tensor
    vertices: Tensor
    rotations: Tensor
    translation: Tensor


def place(
    parameters: HandParameters, is_right: Tensor, intrinsics: Tensor, hand_model: HandModel
) -> HandGeometry:
    """Put N hands into the camera frame.

    The network sees a hand along the ray through its wrist; the rotation of that ray is applied
    here, so that the same picture of a hand means the same numbers anywhere in the image. Depth
    follows from the hand's scale in the image: z = f / scale, f = sqrt(fx fy).

    Args:
        parameters: of the heads.
        is_right: (N,) 1 for right hands.
        intrinsics: (N, 4) fx, fy, cx, cy, network pixels.
        hand_model: the skinned hand.
    """
    focal, principal = intrinsics[:, :2], intrinsics[:, 2:]
    depth = torch.sqrt(focal[:, 0] * focal[:, 1]) / parameters.scale
    ray = (parameters.wrist - principal) / focal  # (N, 2), at z = 1
    translation = torch.cat([ray * depth[:, None], depth[:, None]], dim=1)
    rotations = camera_rotations(parameters.rotations, is_right, parameters.wrist, intrinsics)
    vertices, joints = hand_model(rotations, parameters.shape, is_right)
    return HandGeometry(
        joints=joints + translation[:, None],
        vertices=vertices + translation[:, None],
        rotations=rotations,
        translation=translation,
    )


def camera_rotations(
    rotations: Tensor, is_right: Tensor, wrist: Tensor, intrinsics: Tensor
) -> Tensor:
    """Take what is seen along the wrist's ray, as right hand, to the hand in the camera frame.

    Args:
        rotations: (N, 16, 3, 3) of `HandParameters`.
        is_right: (N,) 1 for right hands.
        wrist: (N, 2) network pixels.
        intrinsics: (N, 4) fx, fy, cx, cy, network pixels.

    Returns:
        (N, 16, 3, 3), the wrist's in the camera frame.
    """
    rotations = mirror_rotations(rotations, is_right)
    ray = (wrist - intrinsics[:, 2:]) / intrinsics[:, :2]
    turned = torch.matmul(ray_rotation(ray), rotations[:, 0])
    return torch.cat([turned[:, None], rotations[:, 1:]], dim=1)


def ray_rotation(ray: Tensor) -> Tensor:
    """Return the smallest rotations that turn the optical axis into given rays.

    Rodrigues' formula for the rotation between unit vectors a and b,
    I + [v]ₓ + [v]ₓ² / (1 + a·b) with v = a × b.

    Args:
        ray: (N, 2) x / z and y / z of the ray.

    Returns:
        (N, 3, 3).
    """
    z = torch.rsqrt(1 + (ray * ray).sum(1))
    x, y = ray[:, 0] * z, ray[:, 1] * z
    share = 1 / (1 + z)
    rows = [1 - x * x * share, -x * y * share, x, -x * y * share, 1 - y * y * share, y, -x, -y, z]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def project(points: Tensor, intrinsics: Tensor) -> Tensor:
    """Project camera points through a pinhole.

    Args:
        points: (N, P, 3) metres, camera frame.
        intrinsics: (N, 4) fx, fy, cx, cy, pixels.

    Returns:
        (N, P, 2) pixels; depths below 1 cm count as 1 cm.
    """
    normalised = points[..., :2] / points[..., 2:].clamp(min=0.01)
    return normalised * intrinsics[:, None, :2] + intrinsics[:, None, 2:]

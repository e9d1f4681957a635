"""`HandModel`: a hand's vertices and keypoints from rotations and shape (torch, exportable)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from handmesh_ros.hand.conventions import (
    FINGERTIP_KEYPOINTS,
    KEYPOINT_FROM_MODEL_JOINT,
    MIRROR,
    MODEL_PARENTS,
)
from handmesh_ros.hand.template import HandTemplate

_MIRROR_SIGNS = torch.from_numpy(np.outer(np.diag(MIRROR), np.diag(MIRROR)).astype(np.float32))
"""(3, 3) signs that take the entries of a rotation R to those of M R M."""

_FIRST, _SECOND, _THIRD = (slice(start, 16, 3) for start in (1, 2, 3))
"""Model joints of the fingers' three levels; each level's parents are the level before."""


def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """Return (..., 3, 3) rotations of (..., 3) axis-angle vectors (Rodrigues' formula)."""
    squared = (axis_angle * axis_angle).sum(-1, keepdim=True).unsqueeze(-1)
    angle = (squared + 1e-12).sqrt()
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return (
        identity
        + torch.sin(angle) / angle * cross
        + (1.0 - torch.cos(angle)) / (squared + 1e-12) * (cross @ cross)
    )


def rotation_from_6d(numbers: Tensor) -> Tensor:
    """Return (..., 3, 3) rotations whose first two columns are the orthonormalised numbers.

    Zhou et al., On the Continuity of Rotation Representations in Neural Networks, CVPR 2019.

    Args:
        numbers: (..., 6), the first column's three numbers, then the second's.
    """
    first = nn.functional.normalize(numbers[..., :3], dim=-1)
    second = numbers[..., 3:] - (first * numbers[..., 3:]).sum(-1, keepdim=True) * first
    second = nn.functional.normalize(second, dim=-1)
    return torch.stack([first, second, _cross(first, second)], dim=-1)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """Return the cross product from plain multiplications."""
    (ax, ay, az), (bx, by, bz) = a.unbind(-1), b.unbind(-1)
    return torch.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], dim=-1)


def mirror_rotations(rotations: Tensor, is_right: Tensor) -> Tensor:
    """Return the rotations of the mirrored hands where hands are left, R -> M R M.

    It is its own inverse: it takes left hands' rotations to those of the right hand that the
    model poses, and back.

    Args:
        rotations: (B, ..., 3, 3).
        is_right: (B,) 1 or True for right hands.

    Returns:
        (B, ..., 3, 3) rotations.
    """
    extra = [1] * (rotations.dim() - 1)
    left = (1.0 - is_right.to(rotations.dtype)).reshape(-1, *extra)
    signs = _MIRROR_SIGNS.to(rotations)
    return rotations * (1.0 + left * (signs - 1.0))


class HandModel(nn.Module):
    """Linear blend skinning of a `HandTemplate`, both sides, any batch size.

    Vertices follow SMPL and MANO (Loper et al. 2015, Romero et al. 2017): the shaped template,
    corrected by the pose where the template has pose corrections, is moved by the weighted joint
    transforms. A left hand is the mirror image of a right one.
    """

    template: Tensor
    shape_dirs: Tensor
    pose_dirs: Tensor
    weights: Tensor
    joint_template: Tensor
    joint_shape_dirs: Tensor
    tip_template: Tensor
    tip_shape_dirs: Tensor
    tip_pose_dirs: Tensor
    tip_weights: Tensor
    keypoint_order: Tensor
    fingertips: Tensor
    mirror: Tensor

    def __init__(self, template: HandTemplate) -> None:
        super().__init__()
        self.vertex_count = template.vertex_count
        self.shape_count = template.shape_count
        self.has_pose_dirs = template.pose_dirs.size > 0
        self.has_forearm = len(template.parents) == 17
        shape_dirs = template.shape_dirs.reshape(-1, self.shape_count).T
        joint_shape_dirs = template.joint_shape_dirs.reshape(-1, self.shape_count).T
        tips = np.asarray(template.fingertips, dtype=np.int64)
        buffers = {
            "template": template.template.reshape(-1),
            "shape_dirs": shape_dirs,
            "pose_dirs": template.pose_dirs.reshape(-1, 135).T,
            "weights": template.weights,
            "joint_template": template.joint_template.reshape(-1),
            "joint_shape_dirs": joint_shape_dirs,
            "tip_template": template.template[tips].reshape(-1),
            "tip_shape_dirs": template.shape_dirs[tips].reshape(-1, self.shape_count).T,
            "tip_pose_dirs": template.pose_dirs.reshape(-1, 3, 135)[tips].reshape(-1, 135).T
            if self.has_pose_dirs
            else np.zeros((135, 15)),
            "tip_weights": template.weights[tips, :16],
            "mirror": np.diag(MIRROR),
        }
        for name, values in buffers.items():
            tensor = torch.from_numpy(np.array(values, dtype=np.float32))
            self.register_buffer(name, tensor, persistent=False)
        order = np.array(KEYPOINT_FROM_MODEL_JOINT)
        order[list(FINGERTIP_KEYPOINTS)] = 16 + np.arange(5)
        self.register_buffer("keypoint_order", torch.from_numpy(order), persistent=False)
        self.register_buffer("fingertips", torch.from_numpy(tips), persistent=False)

    def forward(
        self,
        rotations: Tensor,
        shape: Tensor,
        is_right: Tensor,
        forearm_rotation: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Pose hands; vertices and keypoints are relative to the wrist joint.

        Args:
            rotations: (B, 16, 3, 3), the wrist's in the camera frame, others relative to the
                parent, of the real hands (left hands' are mirrored in here).
            shape: (B, shape_count) shape coefficients, standard deviations.
            is_right: (B,) 1 or True for right hands, 0 or False for left ones.
            forearm_rotation: (B, 3, 3) of the forearm relative to the wrist, for the render
                model; None leaves it straight.

        Returns:
            vertices (B, V, 3) and keypoints (B, 21, 3), metres, in the frame of the wrist's
            rotation, the wrist joint at the origin.
        """
        right_rotations = mirror_rotations(rotations, is_right)
        joints = (self.joint_template + shape @ self.joint_shape_dirs).reshape(-1, 16, 3)
        vertices = self.template + shape @ self.shape_dirs
        if self.has_pose_dirs:
            vertices = vertices + self._bends(right_rotations) @ self.pose_dirs
        vertices = vertices.reshape(-1, self.vertex_count, 3)

        world, posed = self._chain(right_rotations, joints)
        offsets = posed - (world @ joints.unsqueeze(-1)).squeeze(-1)
        if self.has_forearm:
            forearm = world[:, :1]
            if forearm_rotation is not None:
                relative = mirror_rotations(forearm_rotation.unsqueeze(1), is_right)
                forearm = forearm @ relative
            pivot = posed[:, :1] - (forearm @ joints[:, :1].unsqueeze(-1)).squeeze(-1)
            world = torch.cat([world, forearm], dim=1)
            offsets = torch.cat([offsets, pivot], dim=1)

        vertices = self._skin(self.weights, vertices, world, offsets)
        wrist = posed[:, :1]
        everything = torch.cat([posed, vertices[:, self.fingertips]], dim=1)
        keypoints = everything[:, self.keypoint_order] - wrist
        vertices = vertices - wrist
        right = is_right.to(vertices.dtype).reshape(-1, 1, 1)
        side = right + (1.0 - right) * self.mirror
        return vertices * side, keypoints * side

    def right_keypoints(self, rotations: Tensor, shape: Tensor) -> Tensor:
        """Pose right hands, keypoints only: `forward` without the rest of the mesh.

        Args:
            rotations: (B, 16, 3, 3) as in `forward`.
            shape: (B, shape_count).

        Returns:
            (B, 21, 3) metres, the wrist joint at the origin.
        """
        joints = (self.joint_template + shape @ self.joint_shape_dirs).reshape(-1, 16, 3)
        tips = self.tip_template + shape @ self.tip_shape_dirs
        if self.has_pose_dirs:
            tips = tips + self._bends(rotations) @ self.tip_pose_dirs
        world, posed = self._chain(rotations, joints)
        offsets = posed - (world @ joints.unsqueeze(-1)).squeeze(-1)
        tips = self._skin(self.tip_weights, tips.reshape(-1, 5, 3), world, offsets)
        return torch.cat([posed, tips], dim=1)[:, self.keypoint_order] - posed[:, :1]

    @staticmethod
    def _bends(rotations: Tensor) -> Tensor:
        """Return what pose corrections follow, (B, 135)."""
        identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
        return (rotations[:, 1:] - identity).reshape(-1, 135)

    @staticmethod
    def _skin(weights: Tensor, vertices: Tensor, world: Tensor, offsets: Tensor) -> Tensor:
        """Blend joint transforms: weights (V, J), vertices (B, V, 3), world (B, J, 3, 3)."""
        blended = weights @ torch.cat([world.flatten(2), offsets], dim=2)
        turned = blended[..., :9].unflatten(-1, (3, 3)) * vertices.unsqueeze(2)
        return turned.sum(-1) + blended[..., 9:]

    @staticmethod
    def _chain(rotations: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
        """Return the joints' rotations (B, 16, 3, 3) and positions (B, 16, 3) after posing."""
        bones = joints[:, 1:] - joints[:, list(MODEL_PARENTS[1:])]
        bones = torch.cat([joints[:, :1], bones], dim=1).unsqueeze(-1)
        root = rotations[:, :1]
        first = root @ rotations[:, _FIRST]
        second = first @ rotations[:, _SECOND]
        third = second @ rotations[:, _THIRD]
        at_first = bones[:, :1] + root @ bones[:, _FIRST]
        at_second = at_first + first @ bones[:, _SECOND]
        at_third = at_second + second @ bones[:, _THIRD]
        fingers = torch.stack([first, second, third], dim=2).flatten(1, 2)
        positions = torch.stack([at_first, at_second, at_third], dim=2).flatten(1, 2)
        return (
            torch.cat([root, fingers], dim=1),
            torch.cat([bones[:, :1], positions], dim=1).squeeze(-1),
        )

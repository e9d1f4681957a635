"""Consistent made-up batches: hands posed by the hand model, seen by a pinhole."""

import numpy as np
import torch

from handmesh_ros.hand.model import HandModel, axis_angle_to_matrix
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.placement import project

FOCAL = 200.0


def random_hands(count: int, size: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Fields of `count` hands as the trainer takes them, 3D labels included."""
    draws = torch.Generator().manual_seed(seed)
    model = HandModel(HandTemplate.bundled())
    pose = 0.4 * torch.randn(count, 16, 3, generator=draws)
    rotations = axis_angle_to_matrix(pose)
    shape = torch.randn(count, 10, generator=draws)
    is_right = torch.arange(count) % 2 == 0
    translation = torch.rand(count, 3, generator=draws) * 0.2 - 0.1
    translation[:, 2] += 0.8
    intrinsics = torch.tensor([FOCAL, FOCAL, size / 2, size / 2]).expand(count, 4)
    with torch.no_grad():
        vertices, joints = model(rotations, shape, is_right)
    vertices, joints = vertices + translation[:, None], joints + translation[:, None]
    points = project(vertices, intrinsics)
    return {
        "valid": torch.ones(count, dtype=torch.bool),
        "ignore": torch.zeros(count, dtype=torch.bool),
        "has_3d": torch.ones(count, dtype=torch.bool),
        "is_right": is_right,
        "visible_fraction": torch.ones(count),
        "keypoints_2d": project(joints, intrinsics),
        "keypoints_visible": torch.ones(count, 21, dtype=torch.bool),
        "box": torch.cat([points.amin(1), points.amax(1)], dim=1),
        "joints": joints,
        "vertices": vertices,
        "rotations": rotations,
        "shape": shape,
        "translation": translation,
        "colors": torch.randint(0, 256, (count, 778, 3), generator=draws, dtype=torch.uint8),
        "hand_intrinsics": intrinsics.clone(),
        "mask_value": torch.zeros(count, dtype=torch.uint8),
    }


def random_batch(images: int, hands: int, size: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """A batch (B, M, ...) with noise for pictures."""
    fields = random_hands(images * hands, size, seed)
    batch = {
        name: values.reshape(images, hands, *values.shape[1:]) for name, values in fields.items()
    }
    noise = np.random.default_rng(seed).integers(0, 256, (images, size, size, 3), dtype=np.uint8)
    batch["image"] = torch.from_numpy(noise)
    batch["intrinsics"] = batch["hand_intrinsics"][:, 0]
    batch["mask"] = torch.zeros(images, size, size, dtype=torch.uint8)
    return batch

"""Named poses of the bundled hand model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from handmesh_ros.hand.conventions import RIGHT
from handmesh_ros.hand.template import HandTemplate


@pytest.fixture(scope="session")
def posed() -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Returns joints (21, 3), vertices (V, 3) and global rotations (16, 3, 3) of a named pose."""
    torch = pytest.importorskip("torch", reason="needs the extra [train]")
    from handmesh_ros.hand.model import HandModel, mirror_rotations
    from handmesh_ros.training.synthesis.poses import PROTOTYPES, rotations_from_angles

    template = HandTemplate.bundled()
    model = HandModel(template)

    def make(name: str, side: int = RIGHT) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        local = rotations_from_angles(PROTOTYPES[name], template.joint_template)
        rotations = torch.from_numpy(local.astype(np.float32))[None]
        is_right = torch.tensor([float(side)])
        rotations = mirror_rotations(rotations, is_right)
        vertices, joints = model(rotations, torch.zeros(1, 10), is_right)
        world = rotations[0].numpy().astype(np.float64)
        for joint, parent in enumerate(template.parents):
            if parent >= 0:
                world[joint] = world[parent] @ world[joint]
        return joints[0].numpy(), vertices[0].numpy(), world

    return make

"""Objects in front of, inside and behind the hands."""

from __future__ import annotations

import numpy as np

from handmesh_ros.training.synthesis.backgrounds import Backgrounds, paint_scene, random_color
from handmesh_ros.training.synthesis.meshes import (
    OCCLUDER_ID,
    PLAIN,
    Mesh,
    box,
    ellipsoid,
    faceted,
    tube,
)
from handmesh_ros.training.synthesis.renderer import TEXTURE_SIZE

MATERIALS = 20


def paint_materials(backgrounds: Backgrounds) -> np.ndarray:
    """Return (20, 512, 512, 3) uint8 surfaces of objects and clothes, the same on every call."""
    rng = np.random.default_rng(7)
    size = TEXTURE_SIZE
    layers = []
    for number in range(MATERIALS):
        if number % 2 and backgrounds.paths:
            layers.append(backgrounds.sample(rng, size, size))
        else:
            layers.append(paint_scene(rng, size, size))
    return np.stack(layers)


def random_surface(rng: np.random.Generator, first_material: int) -> tuple[int, np.ndarray]:
    """Draw a texture layer (or `PLAIN`) and the (3,) linear colour that goes with it."""
    color = (random_color(rng) / 255.0) ** 2
    if rng.random() < 0.5:
        return PLAIN, color
    return first_material + int(rng.integers(MATERIALS)), color**0.3


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Draw a (3, 3) rotation, uniform on SO(3)."""
    matrix, upper = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix = matrix * np.sign(np.diag(upper))
    if np.linalg.det(matrix) < 0:
        matrix[:, 0] = -matrix[:, 0]
    return matrix


def _shape(rng: np.random.Generator, size: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a shape about `size` metres across, around the origin."""
    kind = rng.random()
    if kind < 0.3:
        return box(size * rng.uniform(0.2, 1.0, 3))
    if kind < 0.6:
        length = size * rng.uniform(0.6, 2.0)
        points = np.zeros((2, 3))
        points[:, 2] = -length / 2, length / 2
        return faceted(*tube(points, np.full(2, size * rng.uniform(0.1, 0.4)), 12))
    shape = ellipsoid(size / 2 * rng.uniform(0.5, 1.0, 3))
    if kind < 0.8:
        return shape
    bumpy = shape[0] * rng.uniform(0.8, 1.2, (len(shape[0]), 1))
    return faceted(bumpy, shape[1], shape[2])


def _mesh(
    rng: np.random.Generator,
    shape: tuple[np.ndarray, np.ndarray, np.ndarray],
    rotation: np.ndarray,
    centre: np.ndarray,
    first_material: int,
) -> Mesh:
    vertices, faces, uv = shape
    layer, color = random_surface(rng, first_material)
    placed = vertices @ rotation.T + centre
    return Mesh(
        placed,
        faces,
        np.broadcast_to(color, placed.shape),
        OCCLUDER_ID,
        uv,
        layer,
        gloss=rng.uniform(0, 0.8),
    )


def held_object(
    rng: np.random.Generator, keypoints: np.ndarray, turn: np.ndarray, first_material: int
) -> Mesh:
    """Return a rod, ball or box inside the hand, between palm, thumb and fingers.

    Args:
        rng: source of chance.
        keypoints: (21, 3) of the hand, camera frame, metres.
        turn: (3, 3) rotation of the wrist in the camera frame.
        first_material: first texture layer of the materials.
    """
    tips, knuckles = keypoints[[4, 8, 12]].mean(0), keypoints[[5, 9, 13, 17]].mean(0)
    centre = 0.5 * tips + 0.5 * knuckles
    size = 1.4 * np.linalg.norm(tips - knuckles)
    across = keypoints[5] - keypoints[17]
    kind = rng.random()
    if kind < 0.5:
        half = across / np.linalg.norm(across) * rng.uniform(0.05, 0.16)
        shift = half * rng.uniform(-0.7, 0.7)
        points = np.stack([centre - half + shift, centre + half + shift])
        radius = np.clip(size * rng.uniform(0.15, 0.4), 0.004, 0.035)
        shape = faceted(*tube(points, np.full(2, radius), 12))
        return _mesh(rng, shape, np.eye(3), np.zeros(3), first_material)
    size = np.clip(size, 0.02, 0.1)
    shape = (
        ellipsoid(np.full(3, size / 2)) if kind < 0.75 else box(size * rng.uniform(0.3, 1.2, 3))
    )
    return _mesh(rng, shape, turn @ random_rotation(rng), centre, first_material)


def object_before(
    rng: np.random.Generator, target: np.ndarray, size: float, first_material: int
) -> Mesh:
    """Return an object between the camera and a (3,) point that covers about `size` metres."""
    nearer = rng.uniform(0.55, 0.9)
    centre = target * nearer + rng.normal(0, 0.35 * size, 3) * [1, 1, 0]
    shape = _shape(rng, size * nearer)
    return _mesh(rng, shape, random_rotation(rng), centre, first_material)


def object_behind(
    rng: np.random.Generator, target: np.ndarray, size: float, first_material: int
) -> Mesh:
    """Return an object behind a (3,) point, where it touches or frames the hand's outline."""
    farther = rng.uniform(1.3, 2.5)
    centre = target * farther + rng.normal(0, 1.0 * size, 3) * [farther, farther, 0]
    shape = _shape(rng, size * farther * rng.uniform(0.7, 2.0))
    return _mesh(rng, shape, random_rotation(rng), centre, first_material)

"""Depth images of known hands, as a depth camera spoils them: for measurements and tests."""

from __future__ import annotations

import cv2
import numpy as np

from handmesh_ros.hand.conventions import RIGHT
from handmesh_ros.hand.template import HandTemplate

WALL_M = 2.5
NOISE_M, HOLES, FLYING = 0.005, 0.1, 0.05


def drawn_depth(
    vertices: np.ndarray, intrinsics: np.ndarray, image_size: tuple[int, int]
) -> np.ndarray:
    """Return the exact depth image of hands before a wall.

    Triangles have the depth of their middle.

    Args:
        vertices: (N, V, 3) meshes of the bundled hand model, metres, camera frame.
        intrinsics: (4,) fx, fy, cx, cy, pixels.
        image_size: (height, width), pixels.

    Returns:
        (H, W) float32 metres.
    """
    depth = np.full(image_size, WALL_M, np.float32)
    faces = HandTemplate.bundled().faces_for(RIGHT, closed=True)
    corners = vertices[:, faces].reshape(-1, 3, 3)
    pixels = np.rint(corners[..., :2] / corners[..., 2:] * intrinsics[:2] + intrinsics[2:])
    for index in np.argsort(-corners[..., 2].mean(1)):
        triangle = pixels[index].astype(np.int32)
        cv2.fillConvexPoly(depth, triangle, float(corners[index, :, 2].mean()))
    return depth


def spoiled(depth_m: np.ndarray, seed: int) -> np.ndarray:
    """Return a depth image with 5 mm noise, 10 % holes and 5 % flying pixels.

    Args:
        depth_m: (H, W) float32 metres.
        seed: of the errors.
    """
    random = np.random.default_rng(seed)
    noisy = depth_m + random.normal(0.0, NOISE_M, depth_m.shape).astype(np.float32)
    flying = random.random(depth_m.shape) < FLYING
    noisy[flying] = random.uniform(0.3, 2.0, int(flying.sum()))
    noisy[random.random(depth_m.shape) < HOLES] = 0.0
    return noisy

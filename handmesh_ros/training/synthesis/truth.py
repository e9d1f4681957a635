"""The truth of a rendered image, as a training sample."""

from __future__ import annotations

import numpy as np

from handmesh_ros.training.data.sample import Sample, mask_values, shared_intrinsics
from handmesh_ros.training.synthesis.renderer import Rendering
from handmesh_ros.training.synthesis.scene import Scene, SceneSampler

DEPTH_TOLERANCE = np.full(21, 0.016)
DEPTH_TOLERANCE[[0, 1]] = 0.035
DEPTH_TOLERANCE[[2, 5, 9, 13, 17]] = 0.028
"""Metres that a keypoint may lie behind the visible surface, as it stands inside the flesh."""


def project(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Return the (..., 2) pixels of (..., 3) camera points by the pinhole model."""
    fx, fy, cx, cy = intrinsics
    depth = np.maximum(points[..., 2], 1e-6)
    return np.stack([fx * points[..., 0] / depth + cx, fy * points[..., 1] / depth + cy], axis=-1)


def describe(scene: Scene, frame: Rendering, sampler: SceneSampler) -> Sample:
    """Return the sample of a drawn scene; its key is left empty."""
    count = len(scene.hands)
    intrinsics = scene.intrinsics.astype(np.float32)
    sample = Sample(
        image=frame.color,
        mask=frame.instance,
        intrinsics=intrinsics,
        hand_intrinsics=shared_intrinsics(intrinsics, count),
        mask_value=mask_values(count),
        is_right=np.zeros(count, np.uint8),
        keypoints_2d=np.zeros((count, 21, 2), np.float32),
        keypoints_visible=np.zeros((count, 21), np.uint8),
        box=np.zeros((count, 4), np.float32),
        visible_fraction=np.zeros(count, np.float32),
        has_3d=np.ones(count, np.uint8),
        joints=np.zeros((count, 21, 3), np.float32),
        rotations=np.zeros((count, 16, 3, 3), np.float32),
        shape=np.zeros((count, 10), np.float32),
        translation=np.zeros((count, 3), np.float32),
        colors=np.zeros((count, len(sampler.output_model.template), 3), np.uint8),
        source="synthetic",
    )
    for i, hand in enumerate(scene.hands):
        vertices = hand.surface.vertices
        pixels = project(vertices, scene.intrinsics)
        keypoints = project(hand.keypoints, scene.intrinsics)
        nearest = hand.keypoints[:, 2] - DEPTH_TOLERANCE
        sample.is_right[i] = hand.is_right
        sample.keypoints_2d[i] = keypoints
        sample.keypoints_visible[i] = _seen(keypoints, nearest, frame)
        sample.box[i] = [*pixels.min(0), *pixels.max(0)]
        sample.visible_fraction[i] = _visible_fraction(pixels, vertices[:, 2], frame, i + 1)
        sample.joints[i] = hand.keypoints
        sample.rotations[i] = hand.rotations
        sample.shape[i] = hand.shape
        sample.translation[i] = hand.translation
        sample.colors[i] = sampler.albedo(hand)
    return sample


def _lookup(pixels: np.ndarray, frame: Rendering) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (P,) inside the image, and the rows and columns of the nearest pixels in it."""
    height, width = frame.instance.shape
    column, row = np.round(pixels).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    return inside, np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)


def _seen(pixels: np.ndarray, depth: np.ndarray, frame: Rendering) -> np.ndarray:
    """Return (P,) inside the image with nothing nearer to the camera than `depth`."""
    inside, row, column = _lookup(pixels, frame)
    return inside & (frame.depth[row, column] >= depth)


def _visible_fraction(
    pixels: np.ndarray, depth: np.ndarray, frame: Rendering, instance: int
) -> float:
    """Return the share of vertices inside the image and not covered by anything else.

    What the hand itself covers counts as seen, so that every pose can reach 1.
    """
    inside, row, column = _lookup(pixels, frame)
    own = frame.instance[row, column] == instance
    free = own | (frame.depth[row, column] >= depth - 0.003)
    return float((inside & free).mean())

"""Made-up hands for the tests of the training data: exact 3D samples, drawn photographs."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from handmesh_ros.hand.conventions import SKELETON
from handmesh_ros.training.data.sample import Sample, mask_values

INTRINSICS = np.array([310.0, 300.0, 158.0, 122.0], np.float32)


def open_hand_keypoints(size: float = 100.0) -> np.ndarray:
    """Return (21, 2) keypoints of a right palm, fingers up, in a square of `size` pixels."""
    points = np.zeros((21, 2))
    points[0] = 0.50, 0.88
    for finger, (angle, base, length) in enumerate(
        [(50, 0.14, 0.38), (14, 0.36, 0.36), (0, 0.38, 0.40), (-12, 0.36, 0.36), (-24, 0.34, 0.29)]
    ):
        direction = np.array([np.sin(np.deg2rad(angle)), -np.cos(np.deg2rad(angle))])
        for part in range(4):
            points[1 + 4 * finger + part] = points[0] + direction * (base + length * part / 3)
    return (points * size).astype(np.float32)


def drawn_photograph(size: int = 100, colour: tuple[int, int, int] = (190, 140, 110)) -> Sample:
    """Return a photograph-like sample: a skin-coloured hand on a plain bright ground."""
    keypoints = open_hand_keypoints(size)
    rows, columns = np.mgrid[0:size, 0:size]
    ground = 215 + 15 * np.sin(columns / size) - 20 * (rows / size) ** 2
    image = np.repeat(ground[..., None], 3, axis=2).astype(np.uint8)
    points = np.round(keypoints).astype(int)
    for start, end in SKELETON:
        cv2.line(image, points[start].tolist(), points[end].tolist(), colour, max(3, size // 13))
    palm = cv2.convexHull(points[[0, 1, 5, 9, 13, 17]])
    cv2.fillConvexPoly(image, palm, colour)
    arm = np.round([keypoints[0], [0.5 * size, size + 10]]).astype(int).tolist()
    cv2.line(image, arm[0], arm[1], colour, size // 5)
    return Sample.from_keypoints(image, keypoints[None], np.array([True]), source="drawn")


def sample_with_3d(rng: np.random.Generator, hands: int = 2, width: int = 320) -> Sample:
    """Return a sample of random 3D points in front of a camera with unequal focal lengths."""
    height = width * 3 // 4
    translation = rng.uniform([-0.12, -0.09, 0.4], [0.12, 0.09, 0.7], (hands, 3))
    joints = translation[:, None] + rng.normal(0, 0.03, (hands, 21, 3))
    joints[:, 0] = translation
    keypoints = project(joints, INTRINSICS)
    colours = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    mask = np.zeros((height, width), np.uint8)
    boxes = np.concatenate([keypoints.min(axis=1) - 6, keypoints.max(axis=1) + 6], axis=1)
    for hand, box in enumerate(boxes.round().astype(int)):
        cv2.rectangle(mask, box[:2].tolist(), box[2:].tolist(), hand + 1, -1)
    inside = (keypoints > -0.5) & (keypoints < np.array([width, height]) - 0.5)
    inside = inside.all(axis=-1)
    return Sample(
        image=cv2.resize(colours, (width, height)),
        mask=mask,
        intrinsics=INTRINSICS,
        is_right=rng.integers(0, 2, hands).astype(np.uint8),
        keypoints_2d=keypoints.astype(np.float32),
        keypoints_visible=inside.astype(np.uint8),
        box=boxes.astype(np.float32),
        visible_fraction=inside.mean(axis=1).astype(np.float32),
        has_3d=np.ones(hands, np.uint8),
        joints=joints.astype(np.float32),
        rotations=Rotation.random(hands * 16, rng=rng)
        .as_matrix()
        .reshape(hands, 16, 3, 3)
        .astype(np.float32),
        shape=rng.normal(0, 1, (hands, 10)).astype(np.float32),
        translation=translation.astype(np.float32),
        hand_intrinsics=np.tile(INTRINSICS, (hands, 1)),
        mask_value=mask_values(hands),
        colors=rng.integers(0, 256, (hands, 778, 3), np.uint8),
        source="made up",
    )


def project(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Return (..., 2) pixels of (..., 3) camera points; intrinsics (4,) or one per hand (N, 4)."""
    intrinsics = np.asarray(intrinsics, np.float64)
    if intrinsics.ndim == 2:
        intrinsics = intrinsics[:, None]
    return points[..., :2] / points[..., 2:] * intrinsics[..., :2] + intrinsics[..., 2:]

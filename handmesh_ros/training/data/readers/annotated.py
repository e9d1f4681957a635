"""From the labels of a published data set to a `Sample`, and checks that all readers share."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.data.sample import Sample, shared_intrinsics

NEAREST = 0.01
"""Least distance from the camera, metres, of a joint that a label may have."""


def camera_of(matrix: object) -> np.ndarray:
    """Return (4,) float32 fx, fy, cx, cy of a 3×3 camera matrix in pixels."""
    camera = np.asarray(matrix, np.float32).reshape(3, 3)
    return camera[[0, 1, 0, 1], [0, 1, 2, 2]]


def project(joints: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Return (..., 2) pixels of (..., 3) points in the camera frame."""
    return joints[..., :2] / joints[..., 2:] * intrinsics[:2] + intrinsics[2:]


def sample_of_joints(
    image: np.ndarray,
    joints: np.ndarray,
    is_right: np.ndarray,
    intrinsics: np.ndarray,
    *,
    source: str,
    keypoints_visible: np.ndarray | None = None,
    visible_fraction: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> Sample:
    """Return a sample whose hands have 3D joints.

    `has_3d` is 0 until `fitting.fit_samples` has found the hand model's rotations and shape:
    untouched, such a sample trains with its 2D labels only.

    Args:
        image: (H, W, 3) uint8 RGB.
        joints: (N, 21, 3) metres, camera frame, our keypoint order.
        is_right: (N,) bool.
        intrinsics: (4,) fx, fy, cx, cy pixels.
        source: where the image comes from; names the sample in errors.
        keypoints_visible: (N, 21); None for all that lie inside the image.
        visible_fraction: (N,); None for the fraction of keypoints inside the image.
        mask: (H, W) uint8 or None.

    Raises:
        HandmeshError: the label is not 21 finite joints in front of the camera.
    """
    joints = np.asarray(joints, np.float32)
    if joints.shape[1:] != (21, 3):
        raise HandmeshError(
            f"The label of {source} has the shape {joints.shape} instead of 21 joints of x, y, z "
            "for each hand; unpack the annotations again."
        )
    if not np.isfinite(joints).all() or (joints[..., 2] < NEAREST).any():
        raise HandmeshError(
            f"The label of {source} has joints that are not in front of the camera; unpack the "
            "annotations again, or leave the image out."
        )
    sample = Sample.from_keypoints(
        image,
        project(joints, intrinsics),
        is_right,
        keypoints_visible=keypoints_visible,
        visible_fraction=visible_fraction,
        mask=mask,
        source=source,
    )
    return sample.replace(
        intrinsics=np.asarray(intrinsics, np.float32),
        hand_intrinsics=shared_intrinsics(intrinsics, len(sample)),
        joints=joints,
        translation=joints[:, 0].copy(),
    )


def check_lengths(lists: dict[Path, int]) -> int:
    """Return the common length of a data set's parallel files.

    Raises:
        HandmeshError: one is shorter than another, or all are empty.
    """
    longest, shortest = max(lists, key=lambda p: lists[p]), min(lists, key=lambda p: lists[p])
    if lists[longest] != lists[shortest]:
        raise HandmeshError(
            f"{shortest} lists {lists[shortest]} samples and {longest.name} lists "
            f"{lists[longest]}: one is cut short; unpack the annotations again."
        )
    if not lists[longest]:
        raise HandmeshError(f"{longest} lists no samples; unpack the annotations again.")
    return lists[longest]

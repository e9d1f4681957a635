"""Rotations and covariances as ROS messages want them; pure NumPy."""

from __future__ import annotations

import numpy as np

KEYPOINT_SIGMA_PX = 3.0
"""Standard deviation of a keypoint in the image, across the viewing ray."""

RELATIVE_DEPTH_SIGMA = 0.1
"""Standard deviation of an assumed hand size, and so of the distance, relative to it: the spread
of adult hand lengths is 7 % (Greiner, Hand Anthropometry of U.S. Army Personnel, 1991), the rest
is the network's."""

ROTATION_SIGMA_RAD = 0.15
"""Standard deviation of the wrist's orientation about every axis."""


def quaternions(rotations: np.ndarray) -> np.ndarray:
    """Return unit quaternions, w not negative.

    Of the four possible formulas each rotation takes the one with the largest divisor
    (Shepperd, Quaternion from Rotation Matrix, 1978).

    Args:
        rotations: (..., 3, 3) rotation matrices.

    Returns:
        (..., 4) x, y, z, w.
    """
    matrix = np.asarray(rotations, dtype=np.float64)
    xx, yy, zz = matrix[..., 0, 0], matrix[..., 1, 1], matrix[..., 2, 2]
    sums = {
        axes: matrix[..., axes[0], axes[1]] + matrix[..., axes[1], axes[0]]
        for axes in ((0, 1), (0, 2), (1, 2))
    }
    x_w = matrix[..., 2, 1] - matrix[..., 1, 2]
    y_w = matrix[..., 0, 2] - matrix[..., 2, 0]
    z_w = matrix[..., 1, 0] - matrix[..., 0, 1]
    xy, xz, yz = sums[0, 1], sums[0, 2], sums[1, 2]
    # Row i is 4 q_i · (x, y, z, w).
    candidates = np.stack(
        [
            np.stack([1 + xx - yy - zz, xy, xz, x_w], -1),
            np.stack([xy, 1 - xx + yy - zz, yz, y_w], -1),
            np.stack([xz, yz, 1 - xx - yy + zz, z_w], -1),
            np.stack([x_w, y_w, z_w, 1 + xx + yy + zz], -1),
        ],
        -2,
    )
    best = np.argmax(np.diagonal(candidates, axis1=-2, axis2=-1), -1)
    chosen = np.take_along_axis(candidates, best[..., None, None], -2)[..., 0, :]
    chosen = chosen * np.where(chosen[..., 3:] < 0, -1.0, 1.0)
    return chosen / np.linalg.norm(chosen, axis=-1, keepdims=True)


def matrices(quaternion: np.ndarray) -> np.ndarray:
    """Return (..., 3, 3) rotation matrices of (..., 4) unit quaternions x, y, z, w."""
    x, y, z, w = np.moveaxis(np.asarray(quaternion, dtype=np.float64), -1, 0)
    rows = [
        np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], -1),
        np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], -1),
        np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], -1),
    ]
    return np.stack(rows, -2)


def wrist_covariance(position: np.ndarray, focal_px: float) -> np.ndarray:
    """Return the covariance of a wrist pose seen from one view with an assumed hand size.

    It is a cigar along the viewing ray: across, the keypoint's error in the image; along, the
    error of the assumed size.

    Args:
        position: (3,) wrist in the camera frame, metres.
        focal_px: focal length, pixels.

    Returns:
        (6, 6) for x, y, z (metres) and rotations about x, y, z (radians), camera frame.
    """
    distance = float(np.linalg.norm(position))
    ray = np.asarray(position, float) / distance if distance > 0 else np.array([0.0, 0.0, 1.0])
    along = (RELATIVE_DEPTH_SIGMA * distance) ** 2
    across = (KEYPOINT_SIGMA_PX / focal_px * distance) ** 2
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = across * np.eye(3) + (along - across) * np.outer(ray, ray)
    covariance[3:, 3:] = ROTATION_SIGMA_RAD**2 * np.eye(3)
    return covariance

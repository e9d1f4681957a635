"""Wrist covariances as ROS messages want them; pure NumPy."""

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

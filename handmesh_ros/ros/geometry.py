"""Wrist covariances as ROS messages want them; pure NumPy."""

from __future__ import annotations

import numpy as np

from handmesh_ros.hand.hands import ScaleSource

KEYPOINT_SIGMA_PX = 3.0
"""Standard deviation of a keypoint in the image, across the viewing ray."""

RELATIVE_DEPTH_SIGMA = {
    ScaleSource.ASSUMED: 0.1,
    ScaleSource.CALIBRATED: 0.04,
    ScaleSource.DEPTH: 0.015,
}
"""Standard deviation of the distance, relative to it. Assumed: the spread of adult hand lengths is
7 % (Greiner, Hand Anthropometry of U.S. Army Personnel, 1991), the rest is the network's.
Calibrated: the network's scale in the image alone. Depth: a depth camera's, and the mesh's fit."""

UNSEEN_SIGMA_M_S = 0.5
"""Growth of the standard deviation of a position for each second that a hand is unseen."""

ROTATION_SIGMA_RAD = 0.15
"""Standard deviation of the wrist's orientation about every axis."""


def wrist_covariance(
    position: np.ndarray,
    focal_px: float,
    source: int = ScaleSource.ASSUMED,
    age_s: float = 0.0,
) -> np.ndarray:
    """Return the covariance of a wrist pose seen from one view.

    It is a cigar along the viewing ray: across, the keypoint's error in the image; along, the
    error of the size. A hand that is not seen now may be anywhere around.

    Args:
        position: (3,) wrist in the camera frame, metres.
        focal_px: focal length, pixels.
        source: a value of `ScaleSource`, where the size comes from.
        age_s: since the hand was seen.

    Returns:
        (6, 6) for x, y, z (metres) and rotations about x, y, z (radians), camera frame.
    """
    distance = float(np.linalg.norm(position))
    ray = np.asarray(position, float) / distance if distance > 0 else np.array([0.0, 0.0, 1.0])
    along = (RELATIVE_DEPTH_SIGMA[ScaleSource(source)] * distance) ** 2
    across = (KEYPOINT_SIGMA_PX / focal_px * distance) ** 2
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = across * np.eye(3) + (along - across) * np.outer(ray, ray)
    covariance[:3, :3] += (UNSEEN_SIGMA_M_S * age_s) ** 2 * np.eye(3)
    covariance[3:, 3:] = ROTATION_SIGMA_RAD**2 * np.eye(3)
    return covariance

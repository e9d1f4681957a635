"""Wrist covariances as ROS messages want them; pure NumPy.

The constants belong to the bundled model: `python -m handmesh_ros.training.wrist_errors` prints
them, so that about 68 % of the errors on synthetic images lie within one standard deviation.
"""

from __future__ import annotations

import numpy as np

from handmesh_ros.hand.hands import ScaleSource

ACROSS_SIGMA = 0.115
"""Standard deviation of the wrist across the viewing ray, relative to the diagonal of the hand's
box: a network errs by a share of a hand, not by pixels."""

RELATIVE_DEPTH_SIGMA = {
    ScaleSource.ASSUMED: 0.21,
    ScaleSource.CALIBRATED: 0.25,
    ScaleSource.DEPTH: 0.058,
}
"""Standard deviation of the distance, relative to it."""

UNSEEN_SIGMA_M_S = 0.5
"""Growth of the standard deviation of a position for each second that a hand is unseen."""

ROTATION_SIGMA_RAD = 0.6
"""Standard deviation of the wrist's orientation about every axis."""


def wrist_covariance(
    position: np.ndarray,
    focal_px: float,
    size_px: float,
    source: int = ScaleSource.ASSUMED,
    age_s: float = 0.0,
) -> np.ndarray:
    """Return the covariance of a wrist pose seen from one view.

    It is a cigar along the viewing ray: across, the network's error in the image; along,
    the error of the distance. A hand that is not seen now may be anywhere around.

    Args:
        position: (3,) wrist in the camera frame, metres.
        focal_px: focal length, pixels.
        size_px: diagonal of the hand's box, pixels.
        source: a value of `ScaleSource`, where the size comes from.
        age_s: since the hand was seen.

    Returns:
        (6, 6) for x, y, z (metres) and rotations about x, y, z (radians), camera frame.
    """
    distance = float(np.linalg.norm(position))
    ray = np.asarray(position, float) / distance if distance > 0 else np.array([0.0, 0.0, 1.0])
    along = (RELATIVE_DEPTH_SIGMA[ScaleSource(source)] * distance) ** 2
    across = (ACROSS_SIGMA * size_px / focal_px * distance) ** 2
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = across * np.eye(3) + (along - across) * np.outer(ray, ray)
    covariance[:3, :3] += (UNSEEN_SIGMA_M_S * age_s) ** 2 * np.eye(3)
    covariance[3:, 3:] = ROTATION_SIGMA_RAD**2 * np.eye(3)
    return covariance

"""Wrist covariances as ROS messages want them; pure NumPy.

The constants belong to the bundled model: `python -m benchmarks.wrist_errors` prints
them, so that about 68 % of the errors on synthetic images lie within one standard deviation.
"""

from __future__ import annotations

import numpy as np

from handmesh_ros.hand.hands import ScaleSource

ACROSS_SIGMA = 0.06
"""Standard deviation of the wrist across the viewing ray, relative to the diagonal of the hand's
box: a network errs by a share of a hand, not by pixels."""

RELATIVE_DEPTH_SIGMA = {
    ScaleSource.ASSUMED: 0.18,
    ScaleSource.CALIBRATED: 0.19,
    ScaleSource.DEPTH: 0.043,
}
"""Standard deviation of the distance, relative to it."""

_RELATIVE_DEPTH = np.array([RELATIVE_DEPTH_SIGMA[source] for source in ScaleSource])

UNSEEN_SIGMA_M_S = 0.5
"""Growth of the standard deviation of a position for each second that a hand is unseen."""

ROTATION_SIGMA_RAD = 0.38
"""Standard deviation of the wrist's orientation about every axis."""


def wrist_covariances(
    positions: np.ndarray,
    focal_px: float,
    sizes_px: np.ndarray,
    sources: np.ndarray,
    ages_s: np.ndarray,
) -> np.ndarray:
    """Return the covariances of wrist poses seen from one view.

    Each is a cigar along the viewing ray: across, the network's error in the image; along, the
    error of the distance. A hand that is not seen now may be anywhere around.

    Args:
        positions: (N, 3) wrists in the camera frame, metres.
        focal_px: focal length, pixels.
        sizes_px: (N,) diagonals of the hands' boxes, pixels.
        sources: (N,) values of `ScaleSource`, where the sizes come from.
        ages_s: (N,) since each hand was seen.

    Returns:
        (N, 6, 6) for x, y, z (metres) and rotations about x, y, z (radians), camera frame.
    """
    positions = np.asarray(positions, float)
    distance = np.sqrt(np.einsum("nd,nd->n", positions, positions))
    ray = positions / np.maximum(distance, 1e-9)[:, None]
    along = (_RELATIVE_DEPTH[sources] * distance) ** 2
    across = (ACROSS_SIGMA / focal_px * np.asarray(sizes_px) * distance) ** 2
    around = across + (UNSEEN_SIGMA_M_S * np.asarray(ages_s)) ** 2
    covariances = np.zeros((len(positions), 6, 6))
    covariances[:, :3, :3] = (along - across)[:, None, None] * ray[:, :, None] * ray[:, None]
    diagonals = covariances.reshape(-1, 36)[:, ::7]
    diagonals[:, :3] += around[:, None]
    diagonals[:, 3:] = ROTATION_SIGMA_RAD**2
    return covariances

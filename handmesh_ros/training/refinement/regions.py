"""How far the regions of candidates are from those of the true keypoints, and regions that are
as far off."""

from __future__ import annotations

import numpy as np

from handmesh_ros.inference.crops import region_centres, region_sides, square_regions

ERROR_NAMES = ("across", "along", "log_side", "turn")
"""Parts of a region's error: of the middle, in sides and in the axes of the true region; logarithm
of the sides' ratio; radians, clockwise in the image."""

USUAL = (0.0, 0.005, -0.08, 0.0)
"""Mean errors of the candidates of `mobile` on rendered images: regions are a little small."""

NEAR_SPREAD = (0.025, 0.04, 0.13, 0.17)
"""Standard deviations of the errors of most of them."""

FAR_SPREAD = (0.07, 0.11, 0.42, 0.78)
"""The same of the others."""

FAR_SHARE = 0.22
"""Share of the others."""


def region_errors(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return (N, 4) how far regions are off, in the parts of `ERROR_NAMES`.

    Args:
        found: (N, 2, 3) crop pixels to image pixels.
        true: (N, 2, 3) the same of the true keypoints.
    """
    side = region_sides(true)
    angle = _angles(true)
    apart = (region_centres(found) - region_centres(true)) / side[:, None]
    cos, sin = np.cos(angle), np.sin(angle)
    turn = (_angles(found) - angle + np.pi) % (2 * np.pi) - np.pi
    return np.stack(
        [
            cos * apart[:, 0] + sin * apart[:, 1],
            -sin * apart[:, 0] + cos * apart[:, 1],
            np.log(region_sides(found) / side),
            turn,
        ],
        axis=1,
    )


def spoil_regions(true: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return (N, 2, 3) float32 regions that are off by `errors`: undoes `region_errors`.

    Args:
        true: (N, 2, 3) crop pixels to image pixels.
        errors: (N, 4) in the parts of `ERROR_NAMES`.
    """
    side, angle = region_sides(true), _angles(true)
    cos, sin = np.cos(angle), np.sin(angle)
    across, along, log_side, turn = errors.T
    apart = np.stack([cos * across - sin * along, sin * across + cos * along], axis=1)
    centre = region_centres(true) + apart * side[:, None]
    return square_regions(centre, side * np.exp(log_side), angle + turn)


def draw_errors(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return (count, 4) random errors, spread as those of real candidates are."""
    far = rng.random((count, 1)) < FAR_SHARE
    spread = np.where(far, FAR_SPREAD, NEAR_SPREAD)
    return USUAL + np.clip(rng.normal(size=(count, 4)), -2.5, 2.5) * spread


def _angles(regions: np.ndarray) -> np.ndarray:
    return np.arctan2(regions[:, 1, 0], regions[:, 0, 0])

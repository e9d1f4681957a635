"""Depth in another unit than it should be: hands would be impossibly long or short."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handmesh_ros.depth.scale import DepthScale
from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.size import LONGEST_M, SHORTEST_M, hand_length

UNITS_M = (1.0, 0.3048, 0.0254, 0.01, 0.001, 0.0005, 0.00025, 0.000125, 0.0001)
"""Units that depth cameras and simulators send, metres."""

DOUBTFUL_FACTOR = 1.6
"""Ratio of sizes by depth and by the network above which depth is reported as doubtful; depth is
used all the same."""

NEAR_UNIT = 1.4
"""A unit explains a factor that is within this of it."""

PATIENCE = 10
"""Consecutive images without a hand of a possible size before a warning."""


def only_possible(scale: DepthScale, hands: Hands) -> DepthScale:
    """Return what depth says, without the sizes that no hand has.

    Args:
        scale: of these hands.
        hands: of one image, in the size that the network saw.
    """
    length = hand_length(hands.joints) * scale.factor
    possible = (length >= SHORTEST_M) & (length <= LONGEST_M)
    reliable = scale.reliable & possible
    return replace(
        scale,
        factor=np.where(reliable, scale.factor, 1.0),
        reliable=reliable,
        claimed=np.where(scale.reliable & ~possible, scale.factor, scale.claimed),
    )


class UnitDoubt:
    """Notices that depth makes hands far too large or too small in image after image."""

    def __init__(self) -> None:
        self._factors: list[float] = []

    def update(self, scale: DepthScale, hands: Hands, unit_m: float) -> str | None:
        """Return a sentence once depth has been doubtful for a while, else None.

        Args:
            scale: what depth says of these hands, from `only_possible`.
            hands: of one image, in the size that the network saw.
            unit_m: that the depth image was taken to be in, metres.
        """
        doubtful = np.abs(np.log(scale.factor)) > np.log(DOUBTFUL_FACTOR)
        if (scale.reliable & ~doubtful).any():
            self._factors = []
            return None
        claims = np.where(scale.reliable, scale.factor, scale.claimed)
        claims = claims[np.isfinite(claims) & (claims > 0)]
        if not len(claims):
            return None
        self._factors = [*self._factors, float(np.median(claims))][-PATIENCE:]
        if len(self._factors) < PATIENCE:
            return None
        factor = float(np.median(self._factors))
        length_m = factor * float(np.median(hand_length(hands.joints)))
        likely_m = min(UNITS_M, key=lambda each: abs(np.log(each * factor / unit_m)))
        explains = abs(np.log(likely_m * factor / unit_m)) < np.log(NEAR_UNIT)
        advice = (
            f"its unit is probably {likely_m:g} m, so set depth_unit_m to {likely_m:g}"
            if explains and likely_m != unit_m
            else "send depth in metres or millimetres, no disparity, aligned with the image"
        )
        return (
            f"By depth in units of {unit_m:g} m, hands would be {factor:.3g} times as large as "
            f"they look, {length_m:.3g} m long: {advice}."
        )

"""What `handmesh compose` can be told; free of torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CompositeOptions:
    """What composites look like.

    Attributes:
        size: width and height, pixels.
        hands: fewest and most hands.
        extent: range of a hand's longer side relative to the image's.
        least_visible: smallest fraction of a hand that later hands and objects may leave visible.
        mirrored: probability of mirroring a cut-out, which changes its side.
        sleeve: probability that a forearm cut off by its photograph goes on as a sleeve.
        occluder: probability of an object in front of the hands.
        shadow: probability that a hand throws a soft shadow.
        photograph: probability that a whole photograph is the ground, beside other hands.
    """

    size: int = 288
    hands: tuple[int, int] = (1, 6)
    extent: tuple[float, float] = (0.13, 0.9)
    least_visible: float = 0.5
    mirrored: float = 0.5
    sleeve: float = 0.6
    occluder: float = 0.35
    shadow: float = 0.4
    photograph: float = 0.3

"""How much is done to find the hands of an image."""

from __future__ import annotations

from enum import Enum


class Effort(str, Enum):
    """Levels of effort, by the names that every command and the node take."""

    FAST = "fast"
    """One network finds hands: cameras."""

    BALANCED = "balanced"
    """Two input sizes, and what failed is looked at again, turned."""

    BEST = "best"
    """And overlapping tiles, for hands that are small in the image: photographs."""


EFFORT_NAMES = tuple(effort.value for effort in Effort)

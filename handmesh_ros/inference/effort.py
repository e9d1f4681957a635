"""Levels of computational effort for detection."""

from __future__ import annotations

from enum import Enum


class Effort(str, Enum):
    """Levels of effort, by the names that commands and the node accept."""

    FAST = "fast"
    """One input size: for cameras."""

    BALANCED = "balanced"
    """Two input sizes, and rejected candidates are read again from rotated crops."""

    BEST = "best"
    """Overlapping tiles as well, for hands that are small in the image: photographs."""

    def is_within(self, greatest: Effort) -> bool:
        """Return whether this is `greatest` or less."""
        levels = list(Effort)
        return levels.index(self) <= levels.index(greatest)


EFFORT_NAMES = tuple(effort.value for effort in Effort)

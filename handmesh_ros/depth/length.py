"""How long a person's hand is, from what depth showed in the last seconds."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import SIDES
from handmesh_ros.hand.hands import Hands, ScaleSource
from handmesh_ros.hand.size import hand_length

WINDOW_S = 3.0
"""Older measurements do not count: another person may have been there."""

MIN_SAMPLES = 15
MAX_SPREAD = 0.04
"""Relative: measurements that scatter more are no measurement of one hand."""


@dataclass(frozen=True)
class LengthMeasurement:
    """The length of one hand.

    Attributes:
        length_m: median, wrist to middle fingertip along the bones.
        spread_m: half of the measurements are nearer to the median than this.
        count: of the measurements.
    """

    length_m: float
    spread_m: float
    count: int


class LengthMeter:
    """Remembers the lengths of hands that depth has measured. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lengths: tuple[deque[tuple[float, float]], ...] = (deque(), deque())
        self._crowded_s = [float("-inf")] * len(SIDES)

    def add(self, hands: Hands, now_s: float) -> None:
        """Take in the hands of one image.

        Args:
            hands: those whose scale source is depth count.
            now_s: of any steady clock.
        """
        measured = hands.scale_source == ScaleSource.DEPTH
        lengths, sides = hand_length(hands.joints), hands.handedness
        with self._lock:
            for side, samples in enumerate(self._lengths):
                mine = np.flatnonzero(measured & (sides == side))
                if len(mine) > 1:
                    self._crowded_s[side] = now_s
                samples.extend((now_s, float(lengths[index])) for index in mine)
                while samples and samples[0][0] < now_s - WINDOW_S:
                    samples.popleft()

    def measure(self, side: int, now_s: float) -> LengthMeasurement:
        """Return the length of the hand of this side that was seen in the last seconds.

        Args:
            side: LEFT or RIGHT.
            now_s: of the same clock.

        Raises:
            HandmeshError: it was not seen often enough with depth, there were two of them, or the
                measurements contradict each other.
        """
        since_s, name = now_s - WINDOW_S, SIDES[side]
        with self._lock:
            lengths = np.array(
                [length for seen_s, length in self._lengths[side] if seen_s > since_s]
            )
            is_crowded = self._crowded_s[side] > since_s
        if is_crowded:
            raise HandmeshError(
                f"There were two {name} hands in the last {WINDOW_S:g} s, so it is not clear "
                "which one to measure: show one alone."
            )
        if len(lengths) < MIN_SAMPLES:
            raise HandmeshError(
                f"Depth measured a {name} hand in {len(lengths)} images of the last "
                f"{WINDOW_S:g} s and not in {MIN_SAMPLES}: set use_depth, subscribe to hands and "
                "show the open hand to the camera."
            )
        length = float(np.median(lengths))
        spread = float(np.median(np.abs(lengths - length)))
        if spread > MAX_SPREAD * length:
            raise HandmeshError(
                f"Depth's measurements of the {name} hand scatter by {1e3 * spread:.0f} mm about "
                f"{1e3 * length:.0f} mm: hold the open hand still, nearer to the camera."
            )
        return LengthMeasurement(length, spread, len(lengths))

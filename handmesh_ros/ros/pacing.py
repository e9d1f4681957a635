"""Not too often: caps on rates and on repeated complaints."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?")


class RateCap:
    """Lets events through at a rate at most, without beating against the rate of its input."""

    def __init__(self) -> None:
        self._next_s = float("-inf")

    def is_due(self, now_s: float, rate_hz: float) -> bool:
        """Return whether an event may happen now; if so it counts as having happened."""
        period = 1.0 / rate_hz
        if now_s < self._next_s - 0.1 * period:
            return False
        self._next_s = max(self._next_s + period, now_s + 0.5 * period)
        return True


class Throttle:
    """Lets each text through once per period; different texts do not hold each other back.

    Texts that differ in numbers only, such as how late something came, are the same text.

    Args:
        period_s: between two times of the same text.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._last_s: dict[str, float] = {}

    def allows(self, text: str, now_s: float) -> bool:
        """Return whether the text may be logged now; if so its period starts anew."""
        key = _NUMBER.sub("#", text)
        recent = {
            known: last for known, last in self._last_s.items() if now_s - last < self._period_s
        }
        allowed = key not in recent
        self._last_s = {**recent, key: now_s} if allowed else recent
        return allowed

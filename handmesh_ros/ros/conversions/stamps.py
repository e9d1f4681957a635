"""Capture times of images, including those with an impossible stamp."""

from __future__ import annotations

from builtin_interfaces.msg import Time

from handmesh_ros.tracking.tracker import BACKWARD_SLACK_S, FORWARD_JUMP_S

LATEST_S = 2.0**31 - 1.0
"""Last second that a builtin_interfaces/Time can hold, in the year 2038."""


class CaptureTimes:
    """Replaces single wrong stamps by the time of the node's clock, so that they are no jump.

    A driver may send an image without stamp, or with one far in the future, between good ones. A
    clock that was really set forward shows in the node's clock too (both follow simulated time)
    or in the next image. Stamps that go back are believed: bags begin again.
    """

    def __init__(self) -> None:
        self._good: tuple[float, float] | None = None
        self._suspect_s: float | None = None

    def correct(self, stamp: Time, now_s: float) -> Time:
        """Return the stamp of the next image, or the time that it must have been taken at.

        Args:
            stamp: of the image.
            now_s: the node's time, seconds; images that never have a stamp take it.
        """
        stamp_s = stamp.sec + 1e-9 * stamp.nanosec
        if self._good is None:
            if stamp_s <= 0.0:
                return _time(now_s)
            self._good = stamp_s, now_s
            return stamp
        good_s, good_now_s = self._good
        elapsed_s = now_s - good_now_s
        is_set = stamp_s > 0.0 and (
            stamp_s - good_s - max(elapsed_s, 0.0) <= FORWARD_JUMP_S
            or self._suspect_s is not None
            and -BACKWARD_SLACK_S <= stamp_s - self._suspect_s <= FORWARD_JUMP_S
        )
        if is_set:
            self._good, self._suspect_s = (stamp_s, now_s), None
            return stamp
        self._suspect_s = stamp_s
        return _time(good_s + max(elapsed_s, 0.0))


def _time(seconds: float) -> Time:
    """Return a time as a message; what lies outside its range becomes its end."""
    sec, nanosec = divmod(round(1e9 * min(max(seconds, 0.0), LATEST_S)), 10**9)
    return Time(sec=sec, nanosec=nanosec)

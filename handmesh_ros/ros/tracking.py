"""The tracker with the node's parameters; a change of camera resets it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from std_msgs.msg import Header

from handmesh_ros.hand.hands import Hands
from handmesh_ros.ros.parameters.schema import Parameters
from handmesh_ros.tracking.one_euro import Smoothing
from handmesh_ros.tracking.tracker import TrackedHands, Tracker
from handmesh_ros.tracking.tracks import Filters

ALTERNATION_S = 5.0
"""Two image sizes that take turns within this time are two cameras, not one that was switched."""


class HandTracking:
    """Tracks the hands of one camera.

    Args:
        warn: receives one sentence when the clock jumps or two cameras send images.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._tracker = Tracker(warn)
        self._source: tuple[str, tuple[int, int]] | None = None
        self._left_s: dict[tuple[str, tuple[int, int]], float] = {}
        self._pause = threading.Event()

    def pause(self) -> None:
        """End all tracks before the next image. May be called on any thread."""
        self._pause.set()

    def expected(
        self, header: Header, image_size: tuple[int, int], parameters: Parameters
    ) -> np.ndarray:
        """Return the (M, 21, 2) keypoints where the next image should show the hands, pixels.

        There are none where that image does not continue the last one.

        Args:
            header: of the image, with a valid stamp.
            image_size: (height, width) of the image, pixels.
            parameters: in force.
        """
        continues = self._source == (header.frame_id, image_size) and not self._pause.is_set()
        if not parameters.track or not continues:
            return np.zeros((0, 21, 2), np.float32)
        return self._tracker.expected(header.stamp.sec + 1e-9 * header.stamp.nanosec)

    def update(
        self,
        hands: Hands,
        header: Header,
        image_size: tuple[int, int],
        parameters: Parameters,
        *,
        now_s: float,
    ) -> TrackedHands:
        """Return the hands of the next image with identity and state.

        Args:
            hands: the detections.
            header: of the image, with a valid stamp (`CaptureTimes`).
            image_size: (height, width) of the image, pixels.
            parameters: in force.
            now_s: the node's time.
        """
        stamp_s = header.stamp.sec + 1e-9 * header.stamp.nanosec
        if self._pause.is_set() or not parameters.track:
            self._pause.clear()
            self._tracker.reset()
        if not parameters.track:
            shown = hands[: parameters.max_hands or None]
            untracked = TrackedHands.untracked(shown, pinch_ratio=parameters.pinch_ratio)
            lost = self._tracker.update(hands[:0], stamp_s)
            return untracked.joined(lost) if len(lost) else untracked
        source = header.frame_id, image_size
        if self._source is not None and self._source != source:
            since_s = stamp_s - self._left_s.get(source, float("-inf"))
            # One switch of size is a camera's new resolution; its hands are LOST, new ones begin.
            if self._source[0] != source[0] or abs(since_s) < ALTERNATION_S:
                one, other = map(_describe, sorted([self._source, source]))
                self._warn(
                    f"Images of {one} and of {other} come on one topic, so all hands are new: "
                    "give each camera a detector of its own."
                )
            self._left_s = {self._source: stamp_s}
            self._tracker.reset()
        self._source = source
        ahead_s = min(max(now_s - stamp_s, 0.0), 1e-3 * parameters.prediction_limit_ms)
        return self._tracker.update(
            hands,
            stamp_s,
            filters=filters_of(parameters),
            lost_after_s=parameters.lost_after_s,
            ahead_s=ahead_s,
            max_hands=parameters.max_hands,
            pinch_ratio=parameters.pinch_ratio,
        )


def _describe(source: tuple[str, tuple[int, int]]) -> str:
    name, (height, width) = source
    return f"{name!r} with {width}×{height} pixels"


def filters_of(parameters: Parameters) -> Filters:
    """Return the smoothing that the parameters describe."""
    if not parameters.smooth:
        return Filters.off()
    return Filters(
        position=Smoothing(
            parameters.position_cutoff_hz, parameters.position_beta, parameters.position_rest
        ),
        depth=Smoothing(parameters.depth_cutoff_hz, parameters.depth_beta, parameters.depth_rest),
        rotation=Smoothing(parameters.rotation_cutoff_hz, parameters.rotation_beta),
        fingers=Smoothing(parameters.fingers_cutoff_hz, parameters.fingers_beta),
        image=Smoothing(parameters.image_cutoff_hz, parameters.image_beta),
    )

"""`VideoTracker`: detection and tracking in a video; no ROS."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from handmesh_ros.common.renamed import renamed_call
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.estimator import Timings
from handmesh_ros.inference.following import FULL_DETECTION_EVERY, VideoDetection, VideoDetector
from handmesh_ros.inference.opening import HandFinder
from handmesh_ros.tracking.tracker import TrackedHands, Tracker


class VideoTracker:
    """Detects and tracks the hands of one video, as the node does with its defaults.

    Args:
        estimator: detects hands.
        look_every: period of full detection, images; 1 runs it on every image.

    Raises:
        HandmeshError: `look_every` is not 1 or more.

    Attributes:
        detection: the hands of the last image as they were detected, and how.
    """

    def __init__(self, estimator: HandFinder, *, look_every: int = FULL_DETECTION_EVERY) -> None:
        if type(look_every) is not int or look_every < 1:
            raise HandmeshError(f"look_every is {look_every!r}: give 1 or more.")
        self._detector, self._tracker = VideoDetector(estimator), Tracker()
        self._look_every = look_every
        self.detection = VideoDetection(Hands.empty(), True, 0, Timings())

    def update(
        self, image: np.ndarray, intrinsics: np.ndarray, stamp_s: float, **options: Any
    ) -> TrackedHands:
        """Return the hands at the time of the next image.

        Args:
            image: (H, W, 3) uint8 RGB.
            intrinsics: (4,) fx, fy, cx, cy, pixels.
            stamp_s: capture time of the image, seconds.
            options: more of `Tracker`, such as `filters`.

        Raises:
            HandmeshError: the image or the intrinsics cannot be used, or the stamp is not finite.
        """
        if not isinstance(stamp_s, Real) or not math.isfinite(stamp_s):
            raise HandmeshError(f"The stamp of an image is {stamp_s!r}: give seconds.")
        expected = self._tracker.expected(stamp_s)
        self.detection = self._detector.detect(
            image, intrinsics, stamp_s, expected, look_every=self._look_every
        )
        return self._tracker.update(self.detection.hands, stamp_s, **options)

    __call__ = renamed_call("update")

    def reset(self) -> None:
        """The next image is no continuation."""
        self._tracker.reset()

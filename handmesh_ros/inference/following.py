"""`VideoDetector`: full detection in some images of a video, crops of known hands in others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.estimator import Timings
from handmesh_ros.inference.opening import HandFinder
from handmesh_ros.inference.refining import RefiningEstimator

FULL_DETECTION_EVERY = 4
"""Period of full detection, images: at 30 Hz new hands are detected within 133 ms."""

NEW_HAND_S = 0.15
"""Longest time between two full detections, at any frame rate that allows it."""

WEAK_PRESENCE = 0.5
"""Presence of a followed hand below which full detection runs."""


@dataclass(frozen=True)
class VideoDetection:
    """The hands of one image of a video, and how they were detected.

    Attributes:
        hands: best score first.
        is_full: detection ran on the whole image.
        crops: number of crops that were read.
        timings: of both.
    """

    hands: Hands
    is_full: bool
    crops: int
    timings: Timings


class VideoDetector:
    """Detects the hands of a video.

    Known hands are read from their own crops alone. Full detection runs while no hand is known,
    when a hand is lost or hardly visible, and every few images to find new hands. No clock is
    read, so that results are reproducible.

    Args:
        estimator: detects hands; without a refinement network every image gets full detection.
    """

    def __init__(self, estimator: HandFinder) -> None:
        self.estimator = estimator
        self._images = 0
        self._detected_s = float("-inf")
        self._stamp_s = float("-inf")

    def detect(
        self,
        image: np.ndarray,
        intrinsics: np.ndarray,
        stamp_s: float,
        expected: np.ndarray,
        *,
        look_every: int = FULL_DETECTION_EVERY,
    ) -> VideoDetection:
        """Detect the hands of the next image.

        Args:
            image: (H, W, 3) uint8 RGB.
            intrinsics: (4,) fx, fy, cx, cy, pixels.
            stamp_s: capture time of the image.
            expected: (M, 21, 2) keypoints of known hands where this image should show them; none
                where it does not continue the one before.
            look_every: period of full detection, images; 1 runs it on every image.

        Raises:
            HandmeshError: the image cannot be used.
        """
        estimator = self.estimator
        if not isinstance(estimator, RefiningEstimator):
            hands = estimator.detect(image, intrinsics)
            return VideoDetection(hands, True, 0, estimator.timings)
        step_s, self._stamp_s = stamp_s - self._stamp_s, stamp_s
        self._images += 1
        timings, crops = Timings(), 0
        is_due = self._images >= look_every or not (
            0.0 <= step_s <= stamp_s - self._detected_s + step_s <= NEW_HAND_S
        )
        if estimator.refines and 0 < len(expected) <= estimator.max_refined_hands and not is_due:
            try:
                followed = estimator.follow(image, intrinsics, expected)
            except HandmeshError:
                pass  # Full detection reports it.
            else:
                timings, crops = estimator.timings, estimator.crops
                is_weak = self._images > 1 and (followed.presence < WEAK_PRESENCE).any()
                if followed.is_seen.all() and not is_weak:
                    return VideoDetection(followed.hands, False, crops, timings)
                expected = expected[followed.is_seen]
        hands = estimator.detect(image, intrinsics, expected)
        self._images, self._detected_s = 0, stamp_s
        return VideoDetection(hands, True, crops + estimator.crops, timings + estimator.timings)

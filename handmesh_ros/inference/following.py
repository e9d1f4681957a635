"""`VideoDetector`: each image of a video gets a full look, or closer looks at known hands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.estimator import Timings
from handmesh_ros.inference.opening import HandFinder
from handmesh_ros.inference.refining import RefiningEstimator

FULL_DETECTION_EVERY = 4
"""Images from one full look to the next: at 30 Hz new hands are seen within 133 ms."""

NEW_HAND_S = 0.15
"""So long after it came into view a new hand is seen, at any rate that allows it."""

WEAK_PRESENCE = 0.5
"""A followed hand whose crop shows one with less probability is looked for in the whole image."""


@dataclass(frozen=True)
class VideoDetection:
    """The hands of one image of a video, and how they were found.

    Attributes:
        hands: best score first.
        is_full: the whole image was looked at.
        crops: that were looked at closely.
        timings: of all of it.
    """

    hands: Hands
    is_full: bool
    crops: int
    timings: Timings


class VideoDetector:
    """Finds the hands of a video.

    Hands that are known are read off their own crops alone. The whole image is looked at when
    nothing is followed, when a hand is no longer seen or hardly, and every few images for new
    hands. Nothing here asks a clock, so that the same video gives the same hands.

    Args:
        estimator: finds hands; without a refinement network every image is looked at in full.
    """

    def __init__(self, estimator: HandFinder) -> None:
        self.estimator = estimator
        self._images = 0
        self._looked_s = float("-inf")
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
        """Find the hands of the next image.

        Args:
            image: (H, W, 3) uint8 RGB.
            intrinsics: (4,) fx, fy, cx, cy, pixels.
            stamp_s: capture time of the image.
            expected: (M, 21, 2) keypoints of known hands where this image should show them; none
                where it does not continue the one before.
            look_every: number of images from one full look to the next; 1 follows nothing.

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
            0.0 <= step_s <= stamp_s - self._looked_s + step_s <= NEW_HAND_S
        )
        if estimator.refines and 0 < len(expected) <= estimator.max_refined_hands and not is_due:
            try:
                followed = estimator.follow(image, intrinsics, expected)
            except HandmeshError:
                pass  # The full look says it.
            else:
                timings, crops = estimator.timings, estimator.crops
                is_weak = self._images > 1 and (followed.presence < WEAK_PRESENCE).any()
                if followed.is_seen.all() and not is_weak:
                    return VideoDetection(followed.hands, False, crops, timings)
                expected = expected[followed.is_seen]
        hands = estimator.detect(image, intrinsics, expected)
        self._images, self._looked_s = 0, stamp_s
        return VideoDetection(hands, True, crops + estimator.crops, timings + estimator.timings)

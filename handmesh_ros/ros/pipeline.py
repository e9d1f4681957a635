"""What happens to every image, in the node and in `handmesh replay`: image message to results."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from std_msgs.msg import Header

from handmesh_ros.hand.hands import Hands
from handmesh_ros.msg import LatencyBreakdown
from handmesh_ros.ros.conversions.hand_array import HandArray
from handmesh_ros.ros.conversions.messages import hand_array
from handmesh_ros.ros.conversions.stamps import CaptureTimes
from handmesh_ros.ros.depth import DepthScaling
from handmesh_ros.ros.detection import Detection, HandDetector, ImageMessage
from handmesh_ros.ros.parameters.schema import Parameters
from handmesh_ros.ros.tracking import HandTracking
from handmesh_ros.tracking.tracker import TrackedHands


@dataclass(frozen=True)
class Result:
    """What is known after one image.

    Attributes:
        detection: what the network found, and in what.
        taken: frame and time of the image: its header, with a stamp put right that cannot be.
        hands: the same hands in the size that depth or a calibration gives them.
        tracked: these hands over time, smoothed.
        array: `tracked`, as it is published.
        latency: where the time went; the age is not a number, it is the publisher's to fill in.
    """

    detection: Detection
    taken: Header
    hands: Hands
    tracked: TrackedHands
    array: HandArray
    latency: LatencyBreakdown


class HandPipeline:
    """Finds, scales and follows the hands in the images of one camera; publishes nothing.

    Args:
        detector: finds them in one image.
        depth: gives them metric size; fed with depth images by somebody else.
        tracking: follows them; outlives the detector, so that ids are never given twice.
    """

    def __init__(
        self, detector: HandDetector, depth: DepthScaling, tracking: HandTracking
    ) -> None:
        self.detector = detector
        self._depth = depth
        self._tracking = tracking
        self._capture_times = CaptureTimes()

    @property
    def model_id(self) -> str:
        """Name and version of the model."""
        return self.detector.estimator.model_id

    def process(
        self, message: ImageMessage, parameters: Parameters, *, now_s: Callable[[], float]
    ) -> Result:
        """Work on the next image.

        Args:
            message: the image.
            parameters: in force.
            now_s: tells the time in the clock of the stamps, seconds; asked again after the
                network has run, because poses may be carried on to this moment.

        Raises:
            HandmeshError: the image cannot be used.
        """
        stamp = self._capture_times.correct(message.header.stamp, now_s())
        taken = Header(stamp=stamp, frame_id=message.header.frame_id)
        detection = self.detector.detect(
            message,
            parameters,
            stamp_s=stamp.sec + 1e-9 * stamp.nanosec,
            expect=lambda image_size: self._tracking.expected(taken, image_size, parameters),
        )
        start = time.perf_counter()
        hands = self._depth.scale(detection, parameters)
        image_size = detection.rgb.shape[:2]
        now = now_s()
        tracked = self._tracking.update(hands, taken, image_size, parameters, now_s=now)
        array = self._array(tracked, detection, parameters)
        latency = LatencyBreakdown(
            preprocess_ms=detection.preprocess_ms,
            inference_ms=detection.inference_ms,
            decode_ms=detection.decode_ms,
            publish_ms=1e3 * (time.perf_counter() - start),
            age_ms=float("nan"),
        )
        return Result(detection, taken, hands, tracked, array, latency)

    def raw_array(self, result: Result, parameters: Parameters) -> HandArray:
        """Return the hands as they were found, unsmoothed, with their ids."""
        tracked = result.tracked.observed(result.hands)
        return self._array(tracked, result.detection, parameters)

    def close(self) -> None:
        """Free the model."""
        self.detector.close()

    def _array(
        self, tracked: TrackedHands, detection: Detection, parameters: Parameters
    ) -> HandArray:
        return hand_array(
            tracked,
            detection.header,
            image_size=detection.rgb.shape[:2],
            intrinsics=detection.intrinsics,
            publish_mesh=parameters.publish_mesh,
            calibrated=detection.calibrated,
            model_id=self.model_id,
        )

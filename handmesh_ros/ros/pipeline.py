"""The way of an image, in the node and in `handmesh replay`: `HandPipeline.process`."""

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
from handmesh_ros.ros.decoding import ImageMessage
from handmesh_ros.ros.depth import DepthScaling
from handmesh_ros.ros.detection import Detection, HandDetector
from handmesh_ros.ros.parameters.schema import Parameters
from handmesh_ros.ros.tracking import HandTracking
from handmesh_ros.tracking.tracker import TrackedHands


@dataclass(frozen=True)
class Result:
    """What is published of one image.

    Attributes:
        detection: the image and the hands detected in it.
        taken: frame and capture time of the image; an impossible stamp is replaced.
        hands: the same hands, scaled by depth or by a calibrated hand length.
        tracked: these hands with identity, smoothed.
        array: `tracked`, serialised but for the latencies.
        latency: of each stage; `age_ms` is not a number until the publisher sets it.
    """

    detection: Detection
    taken: Header
    hands: Hands
    tracked: TrackedHands
    array: HandArray
    latency: LatencyBreakdown


class HandPipeline:
    """Takes the images of one camera from message to result.

    Args:
        detector: decodes images and detects hands.
        depth: scales hands; the caller gives it the depth images.
        tracking: tracks hands; outlives the detector, so that ids are never given twice.
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
        self,
        message: ImageMessage,
        parameters: Parameters,
        publish: Callable[[Result], None],
        *,
        now_s: Callable[[], float],
    ) -> None:
        """Process the next image: receive, decode, detect, scale, track, serialise, publish.

        Args:
            message: the image.
            parameters: in force.
            publish: writes the result to topics or to a bag.
            now_s: returns the time of the stamps' clock, seconds; asked again after the network
                has run, because poses may be predicted for that moment.

        Raises:
            HandmeshError: the image cannot be used.
        """
        taken = self._receive(message, now_s())
        image = self.detector.decode(message, parameters)
        expected = self._tracking.expected(taken, image.size, parameters)
        stamp_s = taken.stamp.sec + 1e-9 * taken.stamp.nanosec
        detection = self.detector.detect(image, parameters, stamp_s=stamp_s, expected=expected)
        start = time.perf_counter()
        hands = self._depth.scale(detection, parameters)
        tracked = self._tracking.update(hands, taken, image.size, parameters, now_s=now_s())
        array = self._serialise(tracked, detection, parameters)
        latency = LatencyBreakdown(
            preprocess_ms=detection.preprocess_ms,
            inference_ms=detection.inference_ms,
            decode_ms=detection.decode_ms,
            publish_ms=1e3 * (time.perf_counter() - start),
            age_ms=float("nan"),
        )
        publish(Result(detection, taken, hands, tracked, array, latency))

    def raw_array(self, result: Result, parameters: Parameters) -> HandArray:
        """Return the hands as they were detected, unsmoothed, with their ids, serialised."""
        observed = result.tracked.observed(result.hands)
        return self._serialise(observed, result.detection, parameters)

    def close(self) -> None:
        """Free the model."""
        self.detector.close()

    def _receive(self, message: ImageMessage, now_s: float) -> Header:
        """Return frame and capture time of an image."""
        stamp = self._capture_times.correct(message.header.stamp, now_s)
        return Header(stamp=stamp, frame_id=message.header.frame_id)

    def _serialise(
        self, tracked: TrackedHands, detection: Detection, parameters: Parameters
    ) -> HandArray:
        """Return hands as the rows of a HandMeshArray on the wire."""
        return hand_array(
            tracked,
            detection.header,
            image_size=detection.rgb.shape[:2],
            intrinsics=detection.intrinsics,
            publish_mesh=parameters.publish_mesh,
            calibrated=detection.calibrated,
            model_id=self.model_id,
        )

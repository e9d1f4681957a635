"""The node's pipeline over a recorded bag: every image, as fast as possible, reproducibly.

No clock is read: the time is that of recording. A depth image that was recorded a little later
than its colour image is waited for, as the node waits while the network runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import PoseArray
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.opening import HandFinder
from handmesh_ros.msg import HandMeshArray, LatencyBreakdown
from handmesh_ros.ros.bag.bags import BagReader, BagWriter, choose_topic, type_name
from handmesh_ros.ros.conversions.camera_info import CameraInfos
from handmesh_ros.ros.conversions.messages import topology_message, wrists_to_bytes
from handmesh_ros.ros.decoding import ImageMessage
from handmesh_ros.ros.depth import DepthScaling
from handmesh_ros.ros.detection import HandDetector
from handmesh_ros.ros.pacing import Throttle
from handmesh_ros.ros.parameters.schema import Parameters
from handmesh_ros.ros.pipeline import HandPipeline, Result
from handmesh_ros.ros.tracking import HandTracking

IMAGE_TYPES: dict[str, type[ImageMessage]] = {
    type_name(kind): kind for kind in (Image, CompressedImage)
}

Progress = Callable[[int, int], None]
"""Receives the number of images done and their total."""

DEPTH_PATIENCE_NS = 100_000_000
"""How much later than a colour image, by time of recording, its depth image may come."""


@dataclass(frozen=True)
class Topics:
    """What is read from a bag.

    Attributes:
        image: of Image or CompressedImage.
        camera_info: None where the bag has none and a field of view is assumed.
        depth: None where it is not used.
    """

    image: str
    camera_info: str | None = None
    depth: str | None = None

    @classmethod
    def find(
        cls,
        bag: BagReader,
        *,
        image: str | None = None,
        camera_info: str | None = None,
        depth: str | None = None,
        fov_is_known: bool = False,
    ) -> Topics:
        """Find the topics that are not given, where there is only one choice.

        Args:
            bag: open.
            image: given, or None.
            camera_info: given, or None; that beside the image topic is taken, else the only one.
            depth: given, or None for none.
            fov_is_known: a bag without CameraInfo will do.

        Raises:
            HandmeshError: a topic is missing, or there are several to choose from.
        """
        if image is None:
            images = [topic for topic in bag.topics(*IMAGE_TYPES) if topic != depth]
            image = choose_topic(images, "image topic (Image or CompressedImage)", "--image")
        elif bag.type_of(image) not in IMAGE_TYPES:
            raise HandmeshError(
                f"The topic {image} has {bag.type_of(image)}, no images: choose with --image one "
                f"of {', '.join(bag.topics(*IMAGE_TYPES)) or 'another bag'}."
            )
        for topic, kind, option in (
            (camera_info, CameraInfo, "--camera-info"),
            (depth, Image, "--depth"),
        ):
            if topic is not None and not bag.count(topic):
                raise HandmeshError(f"The topic {topic} ({option}) has no messages.")
            if topic is not None and bag.type_of(topic) != type_name(kind):
                raise HandmeshError(
                    f"The topic {topic} has {bag.type_of(topic)}, but {option} needs "
                    f"{type_name(kind)}."
                )
        if camera_info is None:
            candidates = bag.topics(type_name(CameraInfo))
            beside = f"{image.removesuffix('/compressed').rpartition('/')[0]}/camera_info"
            if not candidates and not fov_is_known:
                raise HandmeshError(
                    "The bag has no CameraInfo, so positions would be a guess: give --fov DEGREES "
                    "to assume a field of view."
                )
            if candidates:
                candidates = [beside] if beside in candidates else candidates
                camera_info = choose_topic(candidates, "CameraInfo topic", "--camera-info")
        return cls(image, camera_info, depth)


@dataclass
class Summary:
    """Counts of a replay.

    Attributes:
        images: processed images.
        failed: those of them that could not be used.
        hands: detected in all images.
        tracks: number of tracks; 0 without tracking.
    """

    images: int = 0
    failed: int = 0
    hands: int = 0
    tracks: int = 0


class Replay:
    """Processes one bag.

    Args:
        estimator: detects the hands; the caller closes it.
        parameters: of the node; `image_transport` and `lazy` have no effect.
        say: receives each text that the node would log, once.

    Raises:
        HandmeshError: the estimator's model and the hand model do not belong together.
    """

    def __init__(
        self, estimator: HandFinder, parameters: Parameters, say: Callable[[str], None]
    ) -> None:
        self._parameters, self._say = parameters, say
        self._once = Throttle(float("inf"))
        self._problem = "the topic has no messages."
        self._camera_infos = CameraInfos()
        self._depth = DepthScaling(self._say_once)
        detector = HandDetector(
            estimator, HandTemplate.bundled(), self._camera_infos, self._say_once
        )
        self._pipeline = HandPipeline(detector, self._depth, HandTracking(self._say_once))
        self._summary = Summary()

    def run(
        self, bag: BagReader, topics: Topics, results: BagWriter, namespace: str, tell: Progress
    ) -> Summary:
        """Write the results of every image.

        Args:
            bag: open.
            topics: of it.
            results: gets hands, hands_raw, wrists and topology, at the images' times.
            namespace: of these topics, such as "/robot"; "/" or "" for none.
            tell: called after every image.

        Raises:
            HandmeshError: the bag is damaged, or not one of its images can be used.
        """
        self._prefix = f"/{namespace.strip('/')}".rstrip("/") + "/"
        self._results = results
        if topics.camera_info is not None:
            # The calibration holds for the images that were recorded before it, too.
            _, _, first = next(bag.messages([topics.camera_info]))
            self._take(first, CameraInfo, self._camera_infos.update)
        detector = self._pipeline.detector
        topology = topology_message(detector.template, self._pipeline.model_id)
        results.write(self._prefix + "topology", bag.start_ns, topology, latched=True)
        self._kind, total = IMAGE_TYPES[bag.type_of(topics.image)], bag.count(topics.image)
        waiting: deque[tuple[int, bytes]] = deque()
        chosen = [t for t in (topics.image, topics.camera_info, topics.depth) if t is not None]
        for topic, time_ns, data in bag.messages(chosen):
            if topic == topics.camera_info:
                self._take(data, CameraInfo, self._camera_infos.update)
            elif topic == topics.depth:
                self._take(data, Image, self._depth.receive)
            else:
                waiting.append((time_ns, data))
            patience_ns = 0 if topics.depth is None else DEPTH_PATIENCE_NS
            while waiting and waiting[0][0] + patience_ns <= time_ns:
                self._process(*waiting.popleft())
                tell(self._summary.images, total)
        for time_ns, data in waiting:
            self._process(time_ns, data)
            tell(self._summary.images, total)
        return self._check(topics.image)

    def _take(self, data: bytes, kind: type, receive: Callable[[Any], None]) -> None:
        try:
            receive(_message(data, kind))
        except HandmeshError as problem:
            self._say_once(str(problem))

    def _process(self, time_ns: int, data: bytes) -> None:
        self._summary.images += 1
        results: list[Result] = []
        try:
            message = _message(data, self._kind)
            self._pipeline.process(
                message, self._parameters, results.append, now_s=lambda: 1e-9 * time_ns
            )
        except HandmeshError as problem:
            self._summary.failed += 1
            self._problem = str(problem)
            self._say_once(self._problem)
            return
        self._publish(results[0], time_ns)  # Outside of `try`: a full disk ends the replay.

    def _publish(self, result: Result, time_ns: int) -> None:
        """Write the results of one image to the bag."""
        # Measured times would differ from run to run; not a number means not measured.
        nan = float("nan")
        unmeasured = LatencyBreakdown(
            preprocess_ms=nan, inference_ms=nan, decode_ms=nan, publish_ms=nan, age_ms=nan
        )
        raw = self._pipeline.raw_array(result, self._parameters)
        for name, array in (("hands", result.array), ("hands_raw", raw)):
            self._results.write_serialized(
                self._prefix + name, time_ns, array.to_bytes(unmeasured), HandMeshArray
            )
        self._results.write_serialized(
            self._prefix + "wrists", time_ns, wrists_to_bytes(result.array), PoseArray
        )
        summary = self._summary
        summary.hands += len(result.hands)
        summary.tracks = max([summary.tracks, *result.tracked.track_id.tolist()])

    def _check(self, topic: str) -> Summary:
        if self._summary.failed == self._summary.images:
            raise HandmeshError(
                f"None of the {self._summary.images} images of {topic} can be used: "
                f"{self._problem}"
            )
        return self._summary

    def _say_once(self, text: str) -> None:
        if self._once.allows(text, 0.0):
            self._say(text)


def _message(data: bytes, kind: type) -> Any:
    """Return a recorded message.

    Raises:
        HandmeshError: it is none of this kind.
    """
    try:
        return deserialize_message(data, kind)
    except Exception as error:  # rclpy's is private.
        raise HandmeshError(
            f"A {type_name(kind)} of the bag cannot be read: it was cut short or damaged."
        ) from error

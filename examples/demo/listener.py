"""Receives what the detector publishes: counts, remembers, tells."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage
from visualization_msgs.msg import MarkerArray

from handmesh_ros.msg import HandMesh, HandMeshArray, HandTopology

MAX_RECORDED_IMAGES = 1800
"""A minute at 30 Hz: a demonstration that goes on longer keeps counting but stops recording."""

RATE_WINDOW_S = 2.0

TOPICS = {
    "image/compressed": CompressedImage,
    "camera_info": CameraInfo,
    "hands": HandMeshArray,
    "markers": MarkerArray,
    "topology": HandTopology,
}
"""What is recorded."""


@dataclass
class Recording:
    """Everything that came in.

    Attributes:
        messages: topic, time of arrival in nanoseconds and serialised message, in order.
        images: message by its stamp in nanoseconds.
        hands: message by stamp of its image.
        ages_ms: image stamp to publication, as the messages say.
        network_ms: time in the network, as the messages say.
        around_ms: decoding and scaling the image, decoding the outputs, building the message.
        arrivals_ms: image stamp to arrival here.
        arrival_times_s: monotonic.
        image_count: images that the camera sent.
        hand_count: hands over all messages that were seen, not only carried forward.
    """

    messages: list[tuple[str, int, bytes]] = field(default_factory=list)
    images: dict[int, CompressedImage] = field(default_factory=dict)
    hands: dict[int, HandMeshArray] = field(default_factory=dict)
    ages_ms: list[float] = field(default_factory=list)
    network_ms: list[float] = field(default_factory=list)
    around_ms: list[float] = field(default_factory=list)
    arrivals_ms: list[float] = field(default_factory=list)
    arrival_times_s: list[float] = field(default_factory=list)
    image_count: int = 0
    hand_count: int = 0

    def status(self) -> str:
        """Return one line on the last seconds."""
        if not self.ages_ms:
            return "waiting for the first result"
        now_s = time.monotonic()
        recent = sum(now_s - arrived <= RATE_WINDOW_S for arrived in self.arrival_times_s[-200:])
        last = next(reversed(self.hands.values())).hands if self.hands else []
        predicted = sum(hand.state == hand.PREDICTED for hand in last)
        last = _seen(last)
        sides = ", ".join(
            f"{'right' if hand.handedness == hand.RIGHT else 'left'} {hand.score:.2f} at "
            f"{np.linalg.norm(hand.joints[:3]):.2f} m"
            for hand in last
        )
        return (
            f"{recent / RATE_WINDOW_S:4.1f} Hz | latency p50 {_percentile(self.ages_ms, 50):5.1f} "
            f"p95 {_percentile(self.ages_ms, 95):5.1f} ms | {len(last)} "
            f"hand{'s' * (len(last) != 1)}{': ' + sides if sides else ''}"
            f"{f' | {predicted} predicted' if predicted else ''}"
        )

    def summary(self) -> list[str]:
        """Return the lines for the end."""
        count, times = len(self.ages_ms), self.arrival_times_s
        rate = (count - 1) / (times[-1] - times[0]) if count > 1 else 0.0
        missed = max(0, self.image_count - count)
        per_image = self.hand_count / max(count, 1)
        lines = [
            f"images sent        {self.image_count}",
            f"results received   {count}  ({rate:.1f} Hz)",
            f"images skipped     {missed}  (a newer one was there before the detector was free)",
            f"hands found        {self.hand_count}  ({per_image:.2f} an image)",
        ]
        for name, values in (
            ("stamp → published", self.ages_ms),
            ("  in the network", self.network_ms),
            ("  around it", self.around_ms),
            ("stamp → received", self.arrivals_ms),
        ):
            p50, p95 = _percentile(values, 50), _percentile(values, 95)
            lines.append(f"{name:18} p50 {p50:.1f} ms, p95 {p95:.1f} ms")
        return lines


def _seen(hands: Sequence[HandMesh]) -> list[HandMesh]:
    """Return the hands that are in the image, not those that are only remembered."""
    return [hand for hand in hands if hand.state == hand.TRACKED]


class Listener(Node):
    """Subscribes to the detector's results and to the camera, and records both.

    Args:
        node_options: of rclpy's Node, such as `context`.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("listener", **node_options)
        self.recording = Recording()
        self.topology: HandTopology | None = None
        for topic, kind in TOPICS.items():
            qos = QoSProfile(depth=30)
            if kind is HandTopology:
                qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self.create_subscription(kind, topic, self._receiver(topic), qos, raw=True)

    def _receiver(self, topic: str) -> Callable[[bytes], None]:
        interpret = {
            "hands": self._on_hands,
            "camera_info": self._on_camera_info,
            "image/compressed": self._on_image,
            "topology": self._on_topology,
        }.get(topic)

        def receive(serialized: bytes) -> None:
            if len(self.recording.images) < MAX_RECORDED_IMAGES:
                arrived_ns = self.get_clock().now().nanoseconds
                self.recording.messages.append((topic, arrived_ns, serialized))
            if interpret is not None:
                interpret(serialized)

        return receive

    def _on_hands(self, serialized: bytes) -> None:
        message, recording = deserialize_message(serialized, HandMeshArray), self.recording
        stamp_ns = Time.from_msg(message.header.stamp).nanoseconds
        recording.hands[stamp_ns] = message
        if len(recording.hands) > MAX_RECORDED_IMAGES:
            recording.hands.pop(list(recording.hands)[-2])
        latency = message.latency
        recording.ages_ms.append(latency.age_ms)
        recording.network_ms.append(latency.inference_ms)
        recording.around_ms.append(latency.preprocess_ms + latency.decode_ms + latency.publish_ms)
        recording.arrivals_ms.append((self.get_clock().now().nanoseconds - stamp_ns) / 1e6)
        recording.arrival_times_s.append(time.monotonic())
        recording.hand_count += len(_seen(message.hands))

    def _on_camera_info(self, serialized: bytes) -> None:
        # The camera sends one with every image, and small messages are not lost.
        self.recording.image_count += 1

    def _on_image(self, serialized: bytes) -> None:
        if len(self.recording.images) < MAX_RECORDED_IMAGES:
            message = deserialize_message(serialized, CompressedImage)
            stamp_ns = Time.from_msg(message.header.stamp).nanoseconds
            self.recording.images[stamp_ns] = message

    def _on_topology(self, serialized: bytes) -> None:
        self.topology = deserialize_message(serialized, HandTopology)


def _percentile(values: list[float], percent: float) -> float:
    return float(np.percentile(values, percent)) if values else float("nan")

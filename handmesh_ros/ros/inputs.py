"""Subscriptions of the detector: calibration always, images and depth while results are wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QosCallbackResult, QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.parameters.parameter_server import QOS_POLICIES

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

ENDING = "/compressed"
"""Suffix of the topic of compressed images."""


def sensor_qos() -> QoSProfile:
    """Return that of inputs; a new one each time, for overrides are written into it."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def _check_depth(qos: QoSProfile) -> QosCallbackResult:
    is_possible = qos.depth > 0
    reason = "" if is_possible else f"a depth of {qos.depth} is not possible, give 1 or more"
    return QosCallbackResult(successful=is_possible, reason=reason)


QOS_OVERRIDES = QoSOverridingOptions(
    tuple(QoSPolicyKind[policy.upper()] for policy in QOS_POLICIES), callback=_check_depth
)


class Inputs:
    """The subscriptions of a node.

    Args:
        node: that subscribes.
        is_compressed: images come as CompressedImage.
    """

    def __init__(self, node: Node, *, is_compressed: bool) -> None:
        self._node = node
        self._is_compressed = is_compressed
        self._calibration: list[Subscription] = []
        self._images: list[Subscription] = []

    @property
    def has_images(self) -> bool:
        """Whether images are subscribed to."""
        return bool(self._images)

    @property
    def image_topic(self) -> str:
        """The topic that images come on, with remappings.

        The compressed transport's is below the topic that `image` stands for, unless
        `image/compressed` is remapped itself.
        """
        resolve = self._node.resolve_topic_name
        if not self._is_compressed:
            return resolve("image")
        own = resolve(f"image{ENDING}")
        if own != resolve(f"image{ENDING}", only_expand=True):
            return own
        return resolve("image").removesuffix(ENDING) + ENDING

    @property
    def is_remapped(self) -> bool:
        """Whether the images' topic was remapped."""
        names = ("image", f"image{ENDING}") if self._is_compressed else ("image",)
        resolve = self._node.resolve_topic_name
        return any(resolve(name) != resolve(name, only_expand=True) for name in names)

    def add_calibration(self, receive: Callable[[Any], None]) -> None:
        """Subscribe to `camera_info`, whether it comes with every image or was latched long ago.

        Raises:
            HandmeshError: its QoS overrides or its name are not possible.
        """
        self._receive_calibration = receive
        self._calibration = [self._subscribe(CameraInfo, "camera_info", receive)]
        self.listen_to_latched()

    def listen_to_latched(self) -> None:
        """Subscribe a second time where a publisher of `camera_info` keeps its last message.

        A subscription that asks for what was sent before matches only such publishers; the drivers
        of all others would warn of it, so it is made when one is there. To be called now and then.
        """
        if len(self._calibration) != 1:
            return
        publishers = self._node.get_publishers_info_by_topic("camera_info")
        keeps = DurabilityPolicy.TRANSIENT_LOCAL
        if any(publisher.qos_profile.durability == keeps for publisher in publishers):
            silent = SubscriptionEventCallbacks(use_default_callbacks=False)
            latched = self._node.create_subscription(
                CameraInfo,
                "camera_info",
                self._receive_calibration,
                QoSProfile(depth=1, durability=keeps),
                event_callbacks=silent,
            )
            self._calibration.append(latched)

    def add_images(
        self, receive: Callable[[Any], None], receive_depth: Callable[[Any], None] | None
    ) -> None:
        """Subscribe to images and, with a receiver, to depth.

        Raises:
            HandmeshError: QoS overrides or a name are not possible.
        """
        kind = CompressedImage if self._is_compressed else Image
        self._images.append(self._subscribe(kind, self.image_topic, receive))
        if receive_depth is not None:
            self._images.append(self._subscribe(Image, "depth", receive_depth))

    def remove_images(self) -> None:
        """Destroy the subscriptions of images and depth."""
        while self._images:
            self._node.destroy_subscription(self._images.pop())

    def close(self) -> None:
        """Destroy all subscriptions."""
        self.remove_images()
        while self._calibration:
            self._node.destroy_subscription(self._calibration.pop())

    def _subscribe(self, kind: type, topic: str, receive: Callable[[Any], None]) -> Subscription:
        try:
            return self._node.create_subscription(
                kind, topic, receive, sensor_qos(), qos_overriding_options=QOS_OVERRIDES
            )
        except Exception as error:  # rclpy has many for wrong values.
            reason = " ".join(str(error).split()).rstrip(".")
            raise HandmeshError(
                f"{self._node.resolve_topic_name(topic)} cannot be subscribed to ({reason}): "
                "correct its qos_overrides or its name, and start the node again."
            ) from error

"""Point cloud and tf frames of the hands, made only for subscribers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import State
from handmesh_ros.ros.parameters.schema import Parameters
from handmesh_ros.ros.publishers.points import points_message
from handmesh_ros.ros.publishers.tf_frames import TfFrameNames, hand_transforms
from handmesh_ros.tracking.tracker import TrackedHands

POINTS_DEPTH, TF_DEPTH = 5, 100
"""Queue lengths of the publishers; that of /tf is tf2's own."""


class RobotOutputs:
    """Publishes `points` and, with publish_tf, the hands' frames to /tf, without lost hands.

    Args:
        create: makes a publisher from message type, topic and queue length.
        parameters: at start.
        say: receives one sentence when there are no frames.

    Attributes:
        publishers: of all topics.

    Raises:
        HandmeshError: publish_tf is set, but tf2_msgs is not there.
    """

    def __init__(
        self,
        create: Callable[[type, str, int], Any],
        parameters: Parameters,
        say: Callable[[str], None],
    ) -> None:
        self._say = say
        self._names = TfFrameNames()
        self._tf = None
        self.publishers = []
        if parameters.publish_tf:
            self._tf_type = _tf_message_type()
            self._tf = create(self._tf_type, "/tf", TF_DEPTH)
            self.publishers.append(self._tf)
        self._points = create(PointCloud2, "points", POINTS_DEPTH)
        self.publishers.append(self._points)

    def publish(
        self, header: Header, taken: Header, tracked: TrackedHands, parameters: Parameters
    ) -> None:
        """Publish for subscribers.

        Args:
            header: of the image.
            taken: the same with a valid stamp, for the frames: tf2 ignores all frames after one
                from the future, and cannot find those without a stamp.
            tracked: the hands at its time.
            parameters: in force.
        """
        shown = np.flatnonzero(tracked.state != State.LOST)
        if self._points.get_subscription_count():
            hands, ids = tracked.hands[shown], tracked.track_id[shown]
            self._points.publish(points_message(hands, ids, header))
        if self._tf is None or not self._tf.get_subscription_count():
            return
        if not taken.frame_id:
            self._say(
                "The images name no frame, so hands have no place in /tf: give the camera's "
                "driver a frame_id."
            )
            return
        hands = tracked.hands[shown]
        names = self._names.assign(tracked.track_id[shown], hands.handedness)
        names = [parameters.tf_prefix + name for name in names]
        transforms = hand_transforms(hands, names, taken)
        if transforms:
            self._tf.publish(self._tf_type(transforms=transforms))


def _tf_message_type() -> type:
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError as error:
        distro = os.environ.get("ROS_DISTRO", "<distro>")
        raise HandmeshError(
            "publish_tf is set, but the package tf2_msgs is not there: install "
            f"ros-{distro}-tf2-msgs or set publish_tf to false."
        ) from error
    return TFMessage

"""`Hands` to the bytes that a publisher hands to DDS: what `handmesh bench` times."""

from __future__ import annotations

import numpy as np
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from handmesh_ros.hand.hands import Hands
from handmesh_ros.ros.messages import hands_to_message
from handmesh_ros.temporal.tracker import TrackedHands


def hands_to_bytes(hands: Hands, image_size: tuple[int, int], intrinsics: np.ndarray) -> bytes:
    """Return a `HandMeshArray` with meshes, serialised.

    Args:
        hands: of one image, not tracked.
        image_size: (height, width) of the image, pixels.
        intrinsics: (4,) fx, fy, cx, cy, pixels.
    """
    message = hands_to_message(
        TrackedHands.untracked(hands), Header(), image_size=image_size, intrinsics=intrinsics
    )
    return bytes(serialize_message(message))

"""`Hands` to the bytes of a HandMeshArray; `handmesh bench` times it."""

from __future__ import annotations

import numpy as np
from std_msgs.msg import Header

from handmesh_ros.msg import LatencyBreakdown
from handmesh_ros.ros.conversions.messages import hand_array
from handmesh_ros.tracking.tracker import TrackedHands


def hands_to_bytes(
    hands: TrackedHands, image_size: tuple[int, int], intrinsics: np.ndarray
) -> bytes:
    """Return a `HandMeshArray` with meshes, serialised.

    Args:
        hands: of one image.
        image_size: (height, width) of the image, pixels.
        intrinsics: (4,) fx, fy, cx, cy, pixels.
    """
    array = hand_array(hands, Header(), image_size=image_size, intrinsics=intrinsics)
    return array.to_bytes(LatencyBreakdown())

"""sensor_msgs/Image with depth to metres, and which depth image belongs to which colour image."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError

QUEUE_LENGTH = 32
"""Depth images that are kept while their colour image is on its way: a third of a second at 90 Hz,
for a slow network, and for a replay, which waits a tenth of a second."""


KINDS = {"16UC1": ("u2", 1e-3), "mono16": ("u2", 1e-3), "32FC1": ("f4", 1.0)}
"""Encodings of depth: kind of number, and its unit in metres by REP 118."""

SATURATED = 65535
"""What 16-bit cameras send for "too far" and for "not known"."""


def unit_of(message: Any, unit_m: float) -> float:
    """Return the unit of a depth image in metres: `unit_m`, or where it is 0 its encoding's."""
    return unit_m or KINDS[message.encoding][1]


def depth_to_metres(message: Any, image_size: tuple[int, int], unit_m: float = 0.0) -> np.ndarray:
    """Decode a depth image: 16UC1 in millimetres or 32FC1 in metres (REP 118).

    Args:
        message: the message, or anything with its fields.
        image_size: (height, width) of the colour image that it is aligned with, pixels.
        unit_m: what 1 means, metres; 0 takes the encoding's.

    Returns:
        (H, W) float32 metres; 0 where unknown.

    Raises:
        HandmeshError: another encoding or size, or the message is truncated.
    """
    if message.encoding not in KINDS:
        raise HandmeshError(
            f"The depth image has the encoding {message.encoding!r}, so it is not used: publish "
            "16UC1 (millimetres) or 32FC1 (metres)."
        )
    if (message.height, message.width) != tuple(image_size):
        raise HandmeshError(
            f"The depth image has {message.width}×{message.height} pixels, the colour image "
            f"{image_size[1]}×{image_size[0]}, so it is not used: publish depth that is aligned "
            "with the colour image."
        )
    kind = KINDS[message.encoding][0]
    order = ">" if message.is_bigendian else "<"
    row_bytes = message.width * np.dtype(kind).itemsize
    data = np.frombuffer(message.data, np.uint8)
    if message.step < row_bytes or len(data) < message.height * message.step:
        raise HandmeshError(
            f"The depth image is truncated: {message.height} rows of {message.step} bytes do not "
            f"fit {message.width} pixels each into {len(data)} bytes, so it is not used: check "
            "the depth camera's driver."
        )
    rows = data[: message.height * message.step].reshape(message.height, message.step)
    values = np.ascontiguousarray(rows[:, :row_bytes]).view(order + kind)
    depth = values.astype(np.float32) * np.float32(unit_of(message, unit_m))
    is_known = values != SATURATED if kind == "u2" else np.isfinite(depth)
    return np.where(is_known, depth, np.float32(0.0))


class DepthQueue:
    """The latest depth images, found by stamp; never more than a few. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_stamp: OrderedDict[int, Any] = OrderedDict()

    def put(self, message: Any) -> None:
        """Remember a message; the one that came first is forgotten when there are too many."""
        stamp = _nanoseconds(message.header.stamp)
        with self._lock:
            self._by_stamp.pop(stamp, None)
            self._by_stamp[stamp] = message
            while len(self._by_stamp) > QUEUE_LENGTH:
                self._by_stamp.popitem(last=False)

    def find(self, header: Any, slop_s: float) -> Any:
        """Return the depth image nearest in time to a colour image.

        Args:
            header: of the colour image.
            slop_s: greatest difference of the stamps.

        Raises:
            HandmeshError: none came, none is near enough, or it is of another frame.
        """
        wanted = _nanoseconds(header.stamp)
        with self._lock:
            candidates = list(self._by_stamp.items())
        if not candidates:
            raise HandmeshError(
                "No depth image has come, so hands keep their assumed size: publish the topic "
                "depth, aligned with the colour image."
            )
        stamp, message = min(candidates, key=lambda item: abs(item[0] - wanted))
        apart_s = 1e-9 * abs(stamp - wanted)
        if apart_s > slop_s:
            raise HandmeshError(
                f"The nearest depth image is {apart_s:.3g} s from the colour image, so it is not "
                f"used: synchronise the cameras or raise depth_slop_s (now {slop_s:g})."
            )
        frames = (message.header.frame_id, header.frame_id)
        if all(frames) and frames[0] != frames[1]:
            raise HandmeshError(
                f"The depth image is of the frame {frames[0]!r}, the colour image of "
                f"{frames[1]!r}, so it is not used: publish depth that is aligned with the colour "
                "image."
            )
        return message


def _nanoseconds(stamp: Any) -> int:
    return 10**9 * stamp.sec + stamp.nanosec

"""sensor_msgs/Image and CompressedImage to RGB arrays, with NumPy and OpenCV.

The results are those of `cv_bridge`, which is asked only for encodings that are unknown here:
it is not on the Python package index and breaks with NumPy 2 on some releases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from handmesh_ros.errors import HandmeshError


@dataclass(frozen=True)
class Encoding:
    """How an encoding lays out its pixels.

    Attributes:
        bytes_per_pixel: in the first plane.
        channels: in the array handed to `to_rgb`; 16-bit ones have half as many as bytes.
        to_rgb: turns the (H, W) or (H, W, C) array into (H, W, 3) RGB.
        depth: 8 or 16 bits per channel.
        rows: height of the data over height of the image, for planar formats.
    """

    bytes_per_pixel: int
    channels: int
    to_rgb: Callable[[np.ndarray], np.ndarray]
    depth: int = 8
    rows: float = 1.0


def _unchanged(pixels: np.ndarray) -> np.ndarray:
    return pixels


def _convert(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: cv2.cvtColor(np.ascontiguousarray(pixels), code)


def _encodings() -> dict[str, Encoding]:
    grey, bgr = _convert(cv2.COLOR_GRAY2RGB), _convert(cv2.COLOR_BGR2RGB)
    bgra, rgba = _convert(cv2.COLOR_BGRA2RGB), _convert(cv2.COLOR_RGBA2RGB)
    uyvy, yuyv = _convert(cv2.COLOR_YUV2RGB_UYVY), _convert(cv2.COLOR_YUV2RGB_YUYV)
    table = {
        "rgb8": Encoding(3, 3, _unchanged),
        "bgr8": Encoding(3, 3, bgr),
        "rgba8": Encoding(4, 4, rgba),
        "bgra8": Encoding(4, 4, bgra),
        "mono8": Encoding(1, 1, grey),
        "rgb16": Encoding(6, 3, _unchanged, depth=16),
        "bgr16": Encoding(6, 3, bgr, depth=16),
        "rgba16": Encoding(8, 4, rgba, depth=16),
        "bgra16": Encoding(8, 4, bgra, depth=16),
        "mono16": Encoding(2, 1, grey, depth=16),
        # Matrix types name no colours: OpenCV, where they come from, means BGR.
        "8UC1": Encoding(1, 1, grey),
        "8UC3": Encoding(3, 3, bgr),
        "8UC4": Encoding(4, 4, bgra),
        "16UC1": Encoding(2, 1, grey, depth=16),
        "16UC3": Encoding(6, 3, bgr, depth=16),
        "16UC4": Encoding(8, 4, bgra, depth=16),
        "yuv422": Encoding(2, 2, uyvy),
        "uyvy": Encoding(2, 2, uyvy),
        "yuv422_yuy2": Encoding(2, 2, yuyv),
        "yuyv": Encoding(2, 2, yuyv),
        "nv12": Encoding(1, 1, _convert(cv2.COLOR_YUV2RGB_NV12), rows=1.5),
        "nv21": Encoding(1, 1, _convert(cv2.COLOR_YUV2RGB_NV21), rows=1.5),
    }
    # ROS names the first two pixels of the first two rows, OpenCV those of the second.
    for pattern, code in (
        ("rggb", cv2.COLOR_BayerBG2RGB),
        ("bggr", cv2.COLOR_BayerRG2RGB),
        ("gbrg", cv2.COLOR_BayerGR2RGB),
        ("grbg", cv2.COLOR_BayerGB2RGB),
    ):
        table[f"bayer_{pattern}8"] = Encoding(1, 1, _convert(code))
        table[f"bayer_{pattern}16"] = Encoding(2, 1, _convert(code), depth=16)
    return table


ENCODINGS = _encodings()
"""Encodings that are decoded here."""

DEPTH_ENCODINGS = ("32FC1", "64FC1")
"""Metres instead of colours; 16UC1 may be either, and thermal cameras send it."""


def image_to_rgb(message: Any) -> np.ndarray:
    """Decode a sensor_msgs/Image.

    16-bit images are scaled to 8 bits over their whole range, as `cv_bridge` does.

    Args:
        message: the message, or anything with its fields.

    Returns:
        (H, W, 3) uint8 RGB; may share memory with the message.

    Raises:
        HandmeshError: the message is empty, truncated, has a wrong `step` or an unknown encoding.
    """
    height, width, name = message.height, message.width, message.encoding
    if height == 0 or width == 0:
        raise HandmeshError(
            f"The image message has no pixels ({width}×{height}): check the camera driver."
        )
    encoding = ENCODINGS.get(name)
    if encoding is None:
        return _ask_cv_bridge(message)
    row_bytes = width * encoding.bytes_per_pixel
    if message.step < row_bytes:
        raise HandmeshError(
            f"The image message has a step of {message.step} bytes, but a row of {width} {name} "
            f"pixels needs {row_bytes}: check the camera driver."
        )
    data = np.frombuffer(message.data, np.uint8)
    rows = int(height * encoding.rows)
    if len(data) < rows * message.step:
        raise HandmeshError(
            f"The image message is truncated: {rows} rows of {message.step} bytes are "
            f"{rows * message.step}, but its data has {len(data)}: check the camera driver."
        )
    if (encoding.rows != 1.0 and (height % 2 or width % 2)) or (
        encoding.channels == 2 and width % 2
    ):
        raise HandmeshError(
            f"A {name} image cannot have {width}×{height} pixels: its colours come in pairs, so "
            "use even sizes."
        )
    pixels = data[: rows * message.step].reshape(rows, message.step)[:, :row_bytes]
    if encoding.depth == 16:
        order = ">u2" if message.is_bigendian else "<u2"
        pixels = np.ascontiguousarray(pixels).view(order).astype(np.uint16)
    if encoding.channels > 1:
        pixels = pixels.reshape(rows, width, encoding.channels)
    rgb = encoding.to_rgb(pixels)
    return rgb if encoding.depth == 8 else cv2.convertScaleAbs(rgb, alpha=255.0 / 65535.0)


def compressed_to_rgb(message: Any) -> np.ndarray:
    """Decode a sensor_msgs/CompressedImage, JPEG or PNG or whatever else OpenCV reads.

    Args:
        message: the message, or anything with its fields.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        HandmeshError: the data is empty or cannot be decoded.
    """
    data = np.frombuffer(message.data, np.uint8)
    if not len(data):
        raise HandmeshError("The compressed image message has no data: check the camera driver.")
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        bgr = None
    if bgr is None:
        raise HandmeshError(
            f"The compressed image message (format {message.format!r}, {len(data)} bytes) cannot "
            "be decoded: it is damaged or neither JPEG nor PNG."
        )
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _ask_cv_bridge(message: Any) -> np.ndarray:
    if message.encoding in DEPTH_ENCODINGS:
        raise HandmeshError(
            f"The image encoding {message.encoding!r} is that of depth images, which show no "
            "hands: remap `image` to the camera's colour topic."
        )
    advice = f"publish one of {', '.join(sorted(ENCODINGS))}."
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except (ImportError, AttributeError) as error:
        raise HandmeshError(
            f"The image encoding {message.encoding!r} is unknown and cv_bridge, which might know "
            f"it, is not installed: {advice}"
        ) from error
    try:
        return CvBridge().imgmsg_to_cv2(message, "rgb8")
    except CvBridgeError as error:
        raise HandmeshError(
            f"The image encoding {message.encoding!r} is unknown, to cv_bridge too: {advice}"
        ) from error

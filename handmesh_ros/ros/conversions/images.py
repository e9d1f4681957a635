"""sensor_msgs/Image and CompressedImage to RGB arrays, with NumPy and OpenCV.

The results are those of `cv_bridge`, but for 16-bit images of sensors with fewer bits, which it
leaves dark. It is asked only for encodings that are unknown here: it is not on the Python package
index and breaks with NumPy 2 on some releases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.conversions.encodings import DEPTH_ENCODINGS, ENCODINGS, SensorRange, to_rgb8


def image_to_rgb(message: Any, ranges: SensorRange | None = None) -> np.ndarray:
    """Decode a sensor_msgs/Image.

    Args:
        message: the message, or anything with its fields.
        ranges: how many bits the camera's 16-bit images have; None takes each image's own.

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
    return to_rgb8(pixels, name, ranges)


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


@dataclass(frozen=True)
class Format:
    """What `format` of a CompressedImage says, in lower case; empty where it does not say.

    compressed_image_transport writes "ENCODING; CODEC compressed TARGET": the encoding of the
    camera's image, the codec, and the encoding that was compressed, empty where that is the
    camera's own. Other publishers write the codec alone, "jpeg".

    Attributes:
        encoding: of the camera's image.
        codec: such as "jpeg", or "compresseddepth".
        target: encoding that was compressed.
    """

    encoding: str
    codec: str
    target: str

    @classmethod
    def of(cls, text: str) -> Format:
        """Return the parts of a message's `format`."""
        first, separator, rest = text.lower().partition(";")
        if not separator:
            is_encoding = first.strip() in _NAMES
            first, rest = (first, "") if is_encoding else ("", first)
        codec, _, target = rest.replace("compresseddepth", "depth ").partition("compressed")
        return cls(first.strip(), codec.strip(), target.strip())

    @property
    def own_encoding(self) -> str | None:
        """The encoding whose numbers were compressed as they are, None for a usual picture.

        That is a Bayer mosaic, and every TIFF that the transport makes: its red and blue stand
        where the camera's do, not where a TIFF has them.
        """
        if self.target or self.encoding not in _NAMES:
            return None
        is_own = self.encoding.startswith("bayer_") or self.codec.startswith("tif")
        return _NAMES[self.encoding] if is_own else None


_NAMES = {name.lower(): name for name in ENCODINGS}
_SWAPPED = ("rgb8", "rgb16", "rgba8", "rgba16")
"""Targets that the transport compresses as if their red was blue."""


def compressed_to_rgb(message: Any, ranges: SensorRange | None = None) -> np.ndarray:
    """Decode a sensor_msgs/CompressedImage, JPEG or PNG or whatever else OpenCV reads.

    Args:
        message: the message, or anything with its fields.
        ranges: how many bits the camera's 16-bit images have; None takes each image's own.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        HandmeshError: the data is empty, cannot be decoded, or is not what `format` says.
    """
    data = np.frombuffer(message.data, np.uint8)
    if not len(data):
        raise HandmeshError("The compressed image message has no data: check the camera driver.")
    says = Format.of(message.format)
    is_depth = says.codec.startswith("depth") or says.encoding.upper() in DEPTH_ENCODINGS
    if is_depth and not says.target:
        raise HandmeshError(
            f"The compressed image message is a depth image (format {message.format!r}), which "
            "shows no hands: remap `image` to the camera's colour topic."
        )
    pixels = _decode(data, cv2.IMREAD_UNCHANGED if says.own_encoding or _is_deep(data) else None)
    if pixels is None:
        raise HandmeshError(
            f"The compressed image message (format {message.format!r}, {len(data)} bytes) cannot "
            "be decoded: it is damaged or neither JPEG nor PNG."
        )
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    bits = 8 * pixels.dtype.itemsize
    name = says.own_encoding
    if name is not None and name.startswith("bayer_"):
        # Of three channels, somebody has made a colour picture of the mosaic already.
        name = f"{name[:10]}{bits}" if channels == 1 else None
    if name is None:
        swapped = says.target in _SWAPPED and channels >= 3
        usual = {1: "mono", 3: "rgb" if swapped else "bgr", 4: "rgba" if swapped else "bgra"}
        name = f"{usual.get(channels, '')}{bits}"
    encoding = ENCODINGS.get(name)
    fits = encoding is not None and (encoding.channels, encoding.depth, encoding.rows) == (
        channels,
        8 * pixels.dtype.itemsize,
        1.0,
    )
    if encoding is None or not fits:
        raise HandmeshError(
            f"The compressed image message (format {message.format!r}) holds {channels} channels "
            f"of {pixels.dtype}, which its format does not say: publish JPEG or PNG."
        )
    return to_rgb8(pixels, name, ranges)


def _decode(data: np.ndarray, flags: int | None) -> np.ndarray | None:
    """Return the pixels as they are stored or, without flags, (H, W, 3) BGR; None if damaged."""
    usual = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        return cv2.imdecode(data, usual if flags is None else flags)
    except cv2.error:
        return None


def _is_deep(data: np.ndarray) -> bool:
    """Return whether this is a PNG of 16 bits: its header says so in byte 24."""
    return len(data) > 24 and data[:4].tobytes() == b"\x89PNG" and data[24] == 16

"""Image encodings of ROS: how their pixels lie in memory, and how they become 8-bit RGB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np


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


SENSOR_BITS = (8, 10, 12, 14, 16)
"""How many bits sensors have whose images are sent in 16."""


class SensorRange:
    """How many bits the 16-bit images of one camera really have: a 10-bit one's would be black.

    The brightest value so far tells, so that the brightness stays the same from image to image.

    Args:
        say: is told in one sentence when there are fewer than 16.
    """

    def __init__(self, say: Callable[[str], None] = lambda text: None) -> None:
        self._say = say
        self._bits: dict[str, int] = {}

    def scale(self, pixels: np.ndarray, name: str) -> float:
        """Return the factor from these values to 0 … 255.

        Args:
            pixels: uint16.
            name: of their encoding.
        """
        needed = int(pixels.max(initial=0)).bit_length()
        bits = max(next(bits for bits in SENSOR_BITS if needed <= bits), self._bits.get(name, 0))
        if bits != self._bits.get(name):
            self._bits[name] = bits
            if 8 < bits < 16:
                self._say(
                    f"The values of the {name} images have {bits} bits, so the range of these is "
                    "taken for their brightness."
                )
        return 255.0 / (2**bits - 1)


def to_rgb8(pixels: np.ndarray, name: str, ranges: SensorRange | None = None) -> np.ndarray:
    """Return pixels of an encoding of `ENCODINGS` as (H, W, 3) uint8 RGB.

    Args:
        pixels: (H, W) or (H, W, C), uint8 or uint16, as the encoding has them.
        name: of the encoding.
        ranges: how many bits the camera's 16-bit images have; None takes this image's own.
    """
    rgb = ENCODINGS[name].to_rgb(pixels)
    if ENCODINGS[name].depth == 8:
        return rgb
    return cv2.convertScaleAbs(rgb, alpha=(ranges or SensorRange()).scale(pixels, name))

"""From an image message to RGB pixels with intrinsics, undistorted on request."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.preprocess import intrinsics_from_fov
from handmesh_ros.media.photos import stored_size
from handmesh_ros.ros.conversions.camera_info import CameraInfos, intrinsics_of
from handmesh_ros.ros.conversions.distortion import Undistortion
from handmesh_ros.ros.conversions.encodings import SensorRange
from handmesh_ros.ros.conversions.images import compressed_to_rgb, image_to_rgb
from handmesh_ros.ros.parameters.schema import Parameters

ImageMessage: TypeAlias = Image | CompressedImage

CAMERA_INFO_GRACE_S = 1.0
"""After the first image, how long a missing camera_info is not reported."""


@dataclass(frozen=True)
class CameraImage:
    """A decoded image with its calibration.

    Attributes:
        header: of the image message.
        rgb: (H, W, 3) uint8, undistorted if parameters ask for it.
        intrinsics: (4,) fx, fy, cx, cy, pixels.
        calibrated: the intrinsics come from camera_info.
        decode_ms: how long decoding and undistorting took.
        align: applies the same undistortion to an aligned depth image, (H, W).
    """

    header: Header
    rgb: np.ndarray
    intrinsics: np.ndarray
    calibrated: bool
    decode_ms: float
    align: Callable[[np.ndarray], np.ndarray] = np.asarray

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, pixels."""
        return self.rgb.shape[0], self.rgb.shape[1]


class ImageDecoder:
    """Decodes the images of one camera.

    Args:
        camera_infos: the calibrations received so far; kept up to date by the caller.
        warn: receives one sentence, once per reason, if a field of view is assumed; and with
            every image whose lens distortion cannot be undone.
    """

    def __init__(self, camera_infos: CameraInfos, warn: Callable[[str], None]) -> None:
        self._camera_infos = camera_infos
        self._warn = warn
        self._ranges = SensorRange(warn)
        self._undistortion = Undistortion()
        self._last_reason = ""
        self._first_image_s: float | None = None

    def decode(self, message: ImageMessage, parameters: Parameters) -> CameraImage:
        """Return the image of a message.

        Args:
            message: the image.
            parameters: in force.

        Raises:
            HandmeshError: the image cannot be used.
        """
        start = time.perf_counter()
        _check_size(message, parameters.max_pixels)
        is_compressed = isinstance(message, CompressedImage)
        rgb = (compressed_to_rgb if is_compressed else image_to_rgb)(message, self._ranges)
        align: Callable[[np.ndarray], np.ndarray] = np.asarray
        calibration = self._find_calibration(message.header.frame_id, rgb.shape[:2], parameters)
        if calibration is None:
            height, width = rgb.shape[:2]
            intrinsics = intrinsics_from_fov(height, width, parameters.assumed_fov_deg)
        else:
            info, intrinsics = calibration
            if parameters.undistort and not parameters.image_is_rectified:
                undistort = partial(self._undistortion.undistort, intrinsics=intrinsics, info=info)
                try:
                    rgb = undistort(rgb)
                    align = partial(undistort, interpolation=cv2.INTER_NEAREST)
                except HandmeshError as problem:
                    self._warn(f"{problem} Until then the distortion stays in the images.")
        return CameraImage(
            header=message.header,
            rgb=rgb,
            intrinsics=intrinsics,
            calibrated=calibration is not None,
            decode_ms=1e3 * (time.perf_counter() - start),
            align=align,
        )

    def _find_calibration(
        self, frame_id: str, image_size: tuple[int, int], parameters: Parameters
    ) -> tuple[Any, np.ndarray] | None:
        """Return the CameraInfo and its intrinsics; None if a field of view is assumed."""
        now_s = time.monotonic()
        if self._first_image_s is None:
            self._first_image_s = now_s
        try:
            info = self._camera_infos.find(frame_id)
            if info is not None:
                rectified = parameters.image_is_rectified
                intrinsics = intrinsics_of(info, image_size, rectified=rectified)
                if parameters.undistort and not rectified:
                    self._undistortion.check(intrinsics, info, image_size)
                self._last_reason = ""
                return info, intrinsics
            reason = "No camera_info comes in."
        except HandmeshError as problem:
            reason = str(problem)
            self._first_image_s = float("-inf")
        if reason != self._last_reason and now_s - self._first_image_s > CAMERA_INFO_GRACE_S:
            self._last_reason = reason
            self._warn(
                f"{reason} A field of view of {parameters.assumed_fov_deg:g} degrees is assumed: "
                "positions are a guess and messages say calibrated: false."
            )
        return None


def _check_size(message: ImageMessage, max_pixels: int) -> None:
    """Refuse a large image before it is decoded: a small message can hold gigabytes of pixels."""
    if isinstance(message, CompressedImage):
        width, height = stored_size(bytes(message.data))
    else:
        width, height = message.width, message.height
    if width * height > max_pixels:
        raise HandmeshError(
            f"The image has {width} × {height} pixels, more than the {max_pixels} of max_pixels: "
            "make it smaller, or set that parameter higher."
        )

"""From an image message to hands: decoding, intrinsics, estimator. No publishers, no threads."""

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
from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.following import VideoDetection, VideoDetector
from handmesh_ros.inference.opening import HandFinder
from handmesh_ros.inference.preprocess import intrinsics_from_fov
from handmesh_ros.inference.refining import RefiningEstimator
from handmesh_ros.media.photos import stored_size
from handmesh_ros.ros.conversions.camera_info import CameraInfos, intrinsics_of
from handmesh_ros.ros.conversions.distortion import Undistortion
from handmesh_ros.ros.conversions.encodings import SensorRange
from handmesh_ros.ros.conversions.images import compressed_to_rgb, image_to_rgb
from handmesh_ros.ros.parameters.schema import Parameters

ImageMessage: TypeAlias = Image | CompressedImage

_NONE = np.zeros((0, 21, 2), np.float32)

CAMERA_INFO_GRACE_S = 1.0
"""After the first image, how long a missing camera_info is not worth a word."""


@dataclass(frozen=True)
class Detection:
    """What was found in one image.

    Attributes:
        header: of the image message.
        rgb: (H, W, 3) uint8, undistorted where that is asked for.
        intrinsics: (4,) fx, fy, cx, cy that were used, pixels.
        calibrated: they come from camera_info.
        hands: best score first.
        preprocess_ms: decoding and scaling the image.
        inference_ms: the network.
        decode_ms: its outputs to hands.
        is_full: the whole image was looked at, not only where hands were expected.
        crops: closer looks at hands.
        align: does to an aligned depth image, (H, W), what was done to the colours.
    """

    header: Header
    rgb: np.ndarray
    intrinsics: np.ndarray
    calibrated: bool
    hands: Hands
    preprocess_ms: float
    inference_ms: float
    decode_ms: float
    is_full: bool = True
    crops: int = 0
    align: Callable[[np.ndarray], np.ndarray] = np.asarray


class HandDetector:
    """Finds the hands in image messages.

    Args:
        estimator: of which the detector becomes the owner.
        template: whose mesh the estimator's hands must have.
        camera_infos: kept up to date by somebody else.
        say: is told, once per reason, that a field of view is assumed; and with every image that
            its lens distortion cannot be undone.

    Raises:
        HandmeshError: estimator and template do not belong together.
    """

    def __init__(
        self,
        estimator: HandFinder,
        template: HandTemplate,
        camera_infos: CameraInfos,
        say: Callable[[str], None],
    ) -> None:
        vertex_count = estimator.backend.sidecar.hand_model.vertices
        if template.vertex_count != vertex_count:
            raise HandmeshError(
                f"The model {estimator.model_id} makes hands of {vertex_count} vertices, the hand "
                f"model {template.name} has {template.vertex_count}: use a model that was trained "
                "with it."
            )
        self.estimator = estimator
        self._follower = VideoDetector(estimator)
        self.template = template
        self._camera_infos = camera_infos
        self._say = say
        self._ranges = SensorRange(say)
        self._undistortion = Undistortion()
        self._said = ""
        self._first_image_s: float | None = None

    def detect(
        self,
        message: ImageMessage,
        parameters: Parameters,
        *,
        stamp_s: float = 0.0,
        expect: Callable[[tuple[int, int]], np.ndarray] | None = None,
    ) -> Detection:
        """Find the hands in one image.

        Args:
            message: the image.
            parameters: in force.
            stamp_s: when it was taken.
            expect: tells for an image's height and width where known hands should be in it,
                (M, 21, 2) pixels; None follows nothing.

        Raises:
            HandmeshError: the image cannot be used.
        """
        start = time.perf_counter()
        is_compressed = isinstance(message, CompressedImage)
        _check_size(message, parameters.max_pixels)
        decode = compressed_to_rgb if is_compressed else image_to_rgb
        rgb = decode(message, self._ranges)
        align: Callable[[np.ndarray], np.ndarray] = np.asarray
        found = self._find_camera(message.header.frame_id, rgb.shape[:2], parameters)
        if found is None:
            height, width = rgb.shape[:2]
            intrinsics = intrinsics_from_fov(height, width, parameters.assumed_fov_deg)
        else:
            info, intrinsics = found
            if parameters.undistort and not parameters.image_is_rectified:
                undo = partial(self._undistortion.undistort, intrinsics=intrinsics, info=info)
                try:
                    rgb = undo(rgb)
                    align = partial(undo, interpolation=cv2.INTER_NEAREST)
                except HandmeshError as problem:
                    self._say(f"{problem} Until then the distortion stays in the images.")
        self.estimator.score_threshold = parameters.score_threshold or None
        expected = _NONE if expect is None else expect(rgb.shape[:2])
        unpacked_ms = 1e3 * (time.perf_counter() - start)
        look = self._look(rgb, intrinsics, stamp_s, expected, parameters)
        timings = look.timings
        return Detection(
            header=message.header,
            rgb=rgb,
            intrinsics=intrinsics,
            calibrated=found is not None,
            hands=look.hands,
            is_full=look.is_full,
            crops=look.crops,
            preprocess_ms=unpacked_ms + timings.preprocess_ms,
            inference_ms=timings.inference_ms,
            decode_ms=timings.decode_ms,
            align=align,
        )

    def close(self) -> None:
        """Free the model."""
        self.estimator.close()

    def _look(
        self,
        rgb: np.ndarray,
        intrinsics: np.ndarray,
        stamp_s: float,
        expected: np.ndarray,
        parameters: Parameters,
    ) -> VideoDetection:
        estimator, look_every = self.estimator, parameters.look_every
        if isinstance(estimator, RefiningEstimator):
            estimator.refine = parameters.refine_hands
            estimator.max_refined_hands = parameters.max_refined_hands
        look = self._follower.detect(rgb, intrinsics, stamp_s, expected, look_every=look_every)
        problem = estimator.problem if isinstance(estimator, RefiningEstimator) else ""
        if problem:
            self._say(f"Hands are not refined: {problem}")
        return look

    def _find_camera(
        self, frame_id: str, image_size: tuple[int, int], parameters: Parameters
    ) -> tuple[Any, np.ndarray] | None:
        """Return the CameraInfo and the intrinsics it gives, or None where a guess has to do."""
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
                self._said = ""
                return info, intrinsics
            reason = "No camera_info comes in."
        except HandmeshError as problem:
            reason = str(problem)
            self._first_image_s = float("-inf")
        if reason != self._said and now_s - self._first_image_s > CAMERA_INFO_GRACE_S:
            self._said = reason
            self._say(
                f"{reason} A field of view of {parameters.assumed_fov_deg:g} degrees is assumed: "
                "positions are a guess and messages say calibrated: false."
            )
        return None


def _check_size(message: ImageMessage, max_pixels: int) -> None:
    """Refuse an image before it is decoded: a small message may stand for gigabytes of pixels."""
    if isinstance(message, CompressedImage):
        width, height = stored_size(bytes(message.data))
    else:
        width, height = message.width, message.height
    if width * height > max_pixels:
        raise HandmeshError(
            f"The image has {width} × {height} pixels, more than the {max_pixels} of max_pixels: "
            "make it smaller, or set that parameter higher."
        )

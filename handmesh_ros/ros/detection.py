"""From a decoded image to hands. No publishers, no threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from std_msgs.msg import Header

from handmesh_ros.common.renamed import warn_of_call
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.following import VideoDetector
from handmesh_ros.inference.opening import HandFinder
from handmesh_ros.inference.refining import RefiningEstimator
from handmesh_ros.ros.conversions.camera_info import CameraInfos
from handmesh_ros.ros.decoding import CameraImage, ImageDecoder, ImageMessage
from handmesh_ros.ros.parameters.schema import Parameters

_NONE = np.zeros((0, 21, 2), np.float32)


@dataclass(frozen=True)
class Detection:
    """The hands of one image.

    Attributes:
        header: of the image message.
        rgb: (H, W, 3) uint8, undistorted if parameters ask for it.
        intrinsics: (4,) fx, fy, cx, cy that were used, pixels.
        calibrated: they come from camera_info.
        hands: best score first.
        preprocess_ms: decoding and scaling the image.
        inference_ms: the network.
        decode_ms: network outputs to hands.
        is_full: detection ran on the whole image, not only where hands were expected.
        crops: number of hand crops that were read.
        align: applies the image's undistortion to an aligned depth image, (H, W).
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
    """Decodes the images of one camera and detects the hands in them.

    Args:
        estimator: owned by the detector from now on.
        template: whose mesh the estimator's hands must have.
        camera_infos: the calibrations received so far; kept up to date by the caller.
        warn: receives one sentence about each problem; see `ImageDecoder`.

    Raises:
        HandmeshError: estimator and template do not belong together.
    """

    def __init__(
        self,
        estimator: HandFinder,
        template: HandTemplate,
        camera_infos: CameraInfos,
        warn: Callable[[str], None],
    ) -> None:
        vertex_count = estimator.backend.sidecar.hand_model.vertices
        if template.vertex_count != vertex_count:
            raise HandmeshError(
                f"The model {estimator.model_id} makes hands of {vertex_count} vertices, the hand "
                f"model {template.name} has {template.vertex_count}: use a model that was trained "
                "with it."
            )
        self.estimator = estimator
        self.template = template
        self._warn = warn
        self._decoder = ImageDecoder(camera_infos, warn)
        self._video = VideoDetector(estimator)

    def decode(self, message: ImageMessage, parameters: Parameters) -> CameraImage:
        """Return the image of a message; see `ImageDecoder.decode`."""
        return self._decoder.decode(message, parameters)

    def detect(
        self,
        image: CameraImage,
        parameters: Parameters,
        *,
        stamp_s: float = 0.0,
        expected: np.ndarray = _NONE,
    ) -> Detection:
        """Detect the hands in one image.

        Args:
            image: from `decode`.
            parameters: in force.
            stamp_s: capture time, seconds.
            expected: (M, 21, 2) keypoints of known hands where this image should show them,
                pixels; without any, detection runs on the whole image.

        Raises:
            HandmeshError: the image cannot be used.
        """
        estimator = self.estimator
        estimator.score_threshold = parameters.score_threshold or None
        if isinstance(estimator, RefiningEstimator):
            estimator.refine = parameters.refine_hands
            estimator.max_refined_hands = parameters.max_refined_hands
        found = self._video.detect(
            image.rgb, image.intrinsics, stamp_s, expected, look_every=parameters.look_every
        )
        if isinstance(estimator, RefiningEstimator) and estimator.problem:
            self._warn(f"Hands are not refined: {estimator.problem}")
        return Detection(
            header=image.header,
            rgb=image.rgb,
            intrinsics=image.intrinsics,
            calibrated=image.calibrated,
            hands=found.hands,
            preprocess_ms=image.decode_ms + found.timings.preprocess_ms,
            inference_ms=found.timings.inference_ms,
            decode_ms=found.timings.decode_ms,
            is_full=found.is_full,
            crops=found.crops,
            align=image.align,
        )

    def __call__(self, message: ImageMessage, parameters: Parameters, **options: Any) -> Detection:
        """Do both, as calls did until 0.1."""
        warn_of_call(self, "decode() and detect()")
        return self.detect(self.decode(message, parameters), parameters, **options)

    def close(self) -> None:
        """Free the model."""
        self.estimator.close()

"""Lens distortion of sensor_msgs/CameraInfo, undone before the network sees the image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from handmesh_ros.errors import HandmeshError

BROWN_MODELS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14)}
FISHEYE_MODELS = {"equidistant": (4,), "fisheye": (4,)}
"""Distortion models of REP 104 and how many coefficients each may have."""


class Undistortion:
    """Undistorts the images of one camera; its tables are made once for each calibration."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._maps: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __call__(
        self,
        image: np.ndarray,
        intrinsics: np.ndarray,
        info: Any,
        interpolation: int = cv2.INTER_LINEAR,
    ) -> np.ndarray:
        """Return the image of a pinhole camera with the same intrinsics.

        Args:
            image: (H, W, 3) uint8, or (H, W) depth.
            intrinsics: (4,) fx, fy, cx, cy, pixels of this image.
            info: the CameraInfo message, or anything with its `distortion_model` and `d`.
            interpolation: INTER_LINEAR, or INTER_NEAREST for depth, which must not be mixed
                across edges.

        Returns:
            The image; the same array where there is no distortion. What the lens did not see is 0.

        Raises:
            HandmeshError: the model is not known, or has another number of coefficients.
        """
        coefficients = distortion_of(info)
        if not coefficients.any():
            return image
        size = image.shape[1], image.shape[0]
        key = (info.distortion_model, *coefficients, *intrinsics, *size)
        if key != self._key:
            fx, fy, cx, cy = intrinsics
            matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], float)
            is_fisheye = info.distortion_model in FISHEYE_MODELS
            make = (cv2.fisheye if is_fisheye else cv2).initUndistortRectifyMap
            x, y = make(matrix, coefficients, np.eye(3), matrix, size, cv2.CV_32FC1)
            # Fixed point is twice as fast; for the nearest pixel it has to be rounded here.
            self._maps = {
                kind: cv2.convertMaps(
                    x, y, cv2.CV_16SC2, nninterpolation=kind == cv2.INTER_NEAREST
                )
                for kind in (cv2.INTER_LINEAR, cv2.INTER_NEAREST)
            }
            self._key = key
        return cv2.remap(image, *self._maps[interpolation], interpolation)


def distortion_of(info: Any) -> np.ndarray:
    """Return the coefficients D of a CameraInfo, float64; zeros where it has none.

    Raises:
        HandmeshError: the model is not known, has another number of coefficients, or one of them
            is not finite.
    """
    coefficients = np.asarray(info.d, float)
    if not coefficients.any():
        return np.zeros(4)
    models = {**BROWN_MODELS, **FISHEYE_MODELS}
    counts = models.get(info.distortion_model)
    if counts is None:
        raise HandmeshError(
            f"camera_info has the distortion model {info.distortion_model!r}, which is not known: "
            f"use one of {', '.join(models)}, or rectified images."
        )
    if len(coefficients) not in counts:
        raise HandmeshError(
            f"camera_info has {len(coefficients)} distortion coefficients, but the model "
            f"{info.distortion_model} has {' or '.join(map(str, counts))}: calibrate the camera "
            "again."
        )
    if not np.isfinite(coefficients).all():
        raise HandmeshError(
            "The distortion coefficients D of camera_info have numbers that are not finite: "
            "calibrate the camera again."
        )
    return coefficients

"""Lens distortion of sensor_msgs/CameraInfo, undone before the network sees the image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from handmesh_ros.common.renamed import renamed_call
from handmesh_ros.errors import HandmeshError

BROWN_MODELS = ("plumb_bob", "rational_polynomial", "thin_prism", "tilted")
FISHEYE_MODELS = ("equidistant", "fisheye")
"""Distortion models of REP 104 and OpenCV. The coefficients of all Brown models have one order, so
their count says what they are, not the name: k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4 [tx ty]]]]."""

BROWN_COUNTS, FISHEYE_COUNTS = (4, 5, 8, 12, 14), (4,)
"""How many coefficients there may be; zeros behind them do not count."""

LARGEST_SIDE = 32766
"""Of an image that OpenCV can remap, pixels."""

LEAST_SEEN = 0.5
"""Of the undistorted image, the share that the lens must have seen."""

MOST_FOLDED = 0.25
"""The share of the undistorted image that may be mirrored or squeezed to nothing: many a good
calibration of a wide lens folds the corners."""

SQUEEZED = 1e-4
"""Ratio of areas from which on a part of the image is squeezed to nothing."""

SAMPLES = 256
"""Per side, at which the distortion is checked."""


class ImpossibleLensError(HandmeshError):
    """Distortion coefficients that no lens has, so that the whole calibration is in doubt."""


class Undistortion:
    """Undistorts the images of one camera; its tables are made once for each calibration."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._maps: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._problem: ImpossibleLensError | None = None

    def check(self, intrinsics: np.ndarray, info: Any, image_size: tuple[int, int]) -> None:
        """Check that a lens can have this distortion; one that cannot be undone can be possible.

        Args:
            intrinsics: (4,) fx, fy, cx, cy, pixels of the image.
            info: the CameraInfo message, or anything with its `distortion_model` and `d`.
            image_size: (height, width), pixels.

        Raises:
            ImpossibleLensError: the image would be folded, or most of it black.
        """
        try:
            self._find_maps(intrinsics, info, image_size)
        except ImpossibleLensError:
            raise
        except HandmeshError:
            pass

    def undistort(
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
            HandmeshError: the model is not known, or has another number of coefficients; the
                image is too large; or the coefficients are impossible.
        """
        maps = self._find_maps(intrinsics, info, (image.shape[0], image.shape[1]))
        return image if maps is None else cv2.remap(image, *maps[interpolation], interpolation)

    __call__ = renamed_call("undistort")

    def _find_maps(
        self, intrinsics: np.ndarray, info: Any, image_size: tuple[int, int]
    ) -> dict[int, tuple[np.ndarray, np.ndarray]] | None:
        """Return OpenCV's tables by interpolation; None where there is no distortion."""
        coefficients = distortion_of(info)
        is_fisheye = info.distortion_model in FISHEYE_MODELS
        if not is_fisheye and not coefficients.any():
            return None
        size = image_size[1], image_size[0]
        if max(size) > LARGEST_SIDE:
            raise HandmeshError(
                f"The image has {size[0]}×{size[1]} pixels, but undistort takes {LARGEST_SIDE} "
                "per side at most: send a smaller or a rectified image."
            )
        key = (is_fisheye, *coefficients, *intrinsics, *size)
        if key != self._key:
            fx, fy, cx, cy = intrinsics
            matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], float)
            make = (cv2.fisheye if is_fisheye else cv2).initUndistortRectifyMap
            x, y = make(matrix, coefficients, np.eye(3), matrix, size, cv2.CV_32FC1)
            self._problem, self._maps, self._key = _find_problem(x, y), {}, key
            if self._problem is None:
                # Fixed point is twice as fast; for the nearest pixel it has to be rounded here.
                self._maps = {
                    kind: cv2.convertMaps(
                        x, y, cv2.CV_16SC2, nninterpolation=kind == cv2.INTER_NEAREST
                    )
                    for kind in (cv2.INTER_LINEAR, cv2.INTER_NEAREST)
                }
        if self._problem is not None:
            raise self._problem
        return self._maps


def _find_problem(x: np.ndarray, y: np.ndarray) -> ImpossibleLensError | None:
    """Return what is impossible about a distortion, or None.

    Args:
        x: (H, W) column of the distorted image for each pixel of the undistorted one.
        y: (H, W) its row.
    """
    height, width = x.shape
    rows, columns = (slice(None, None, max(side // SAMPLES, 1)) for side in (height, width))
    x, y = x[rows, columns].astype(float), y[rows, columns].astype(float)
    with np.errstate(invalid="ignore", over="ignore"):
        seen = float(np.mean((x > -1) & (x < width) & (y > -1) & (y < height)))
        if min(x.shape) < 3:
            folded = 0.0
        else:
            (x_down, x_right), (y_down, y_right) = np.gradient(x), np.gradient(y)
            area = (x_right * y_down - x_down * y_right) / (rows.step * columns.step)
            folded = float(np.mean(~(area > SQUEEZED)))
    if seen >= LEAST_SEEN and folded <= MOST_FOLDED:
        return None
    harm = (
        f"leave {100 * (1 - seen):.0f} % of the image black"
        if seen < LEAST_SEEN
        else f"fold or squeeze {100 * folded:.0f} % of the image"
    )
    return ImpossibleLensError(
        f"The distortion coefficients D of camera_info would {harm}, so no lens has them: "
        "calibrate the camera again."
    )


def distortion_of(info: Any) -> np.ndarray:
    """Return the coefficients D of a CameraInfo, float64, without surplus zeros at the end.

    They are as many as OpenCV wants; for a fisheye zeros are coefficients like others, elsewhere
    they are no distortion.

    Raises:
        HandmeshError: the model is not known, has another number of coefficients, or one of them
            is not finite.
    """
    coefficients, name = np.asarray(info.d, float), info.distortion_model
    is_fisheye = name in FISHEYE_MODELS
    if not coefficients.any() and not is_fisheye:
        return np.zeros(4)
    if not is_fisheye and name not in BROWN_MODELS:
        raise HandmeshError(
            f"camera_info has the distortion model {name!r}, which is not known: use one of "
            f"{', '.join((*BROWN_MODELS, *FISHEYE_MODELS))}, or rectified images."
        )
    if not np.isfinite(coefficients).all():
        raise HandmeshError(
            "The distortion coefficients D of camera_info have numbers that are not finite: "
            "calibrate the camera again."
        )
    counts = FISHEYE_COUNTS if is_fisheye else BROWN_COUNTS
    for count in counts:
        if len(coefficients) >= count and not coefficients[count:].any():
            return coefficients[:count]
    raise HandmeshError(
        f"camera_info has {len(coefficients)} distortion coefficients, but the model {name} has "
        f"{' or '.join(map(str, counts))}: put the camera's own into its calibration file, or use "
        "rectified images."
    )

"""sensor_msgs/CameraInfo to the intrinsics of an image."""

from __future__ import annotations

import math
from collections import OrderedDict
from threading import Lock
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError

K_PLACES, P_PLACES = (0, 4, 2, 5), (0, 5, 2, 6)
"""Where fx, fy, cx and cy stand in these matrices."""

NARROWEST_RAD, WIDEST_RAD = math.radians(0.5), math.radians(179.0)
"""Fields of view that a calibration may have: those of a telescope and of a fisheye lens."""

CENTRE_REACH = 2.0
"""The principal point may lie so many image sizes from the middle of the whole image."""

ASPECT_TOLERANCE = 0.02
"""Width over height of image and calibration may differ by this much (a cropped row or two)."""

SQUARENESS = 1.5
"""Focal lengths of one sensor differ by this factor at most: the pixels of PAL video, 1.46."""

UNEVEN_BINNING = 4.0
"""Binning may stretch an image by this factor at most."""

LARGEST_ENLARGEMENT = 4.0
"""An image has so many times the pixels per side of what its sensor recorded, at most."""

FRAMES_KEPT = 64
"""Frames whose latest CameraInfo is kept; those that came last."""


def intrinsics_of(
    info: Any, image_size: tuple[int, int], *, rectified: bool = False
) -> np.ndarray:
    """Return the intrinsics of an image of this size.

    The calibration belongs to the whole sensor: region of interest and binning are applied, and an
    image that was scaled afterwards has its intrinsics scaled too. Lens distortion is ignored.

    Args:
        info: the CameraInfo message, or anything with its fields.
        image_size: (height, width) of the image, pixels.
        rectified: take the projection matrix P instead of the camera matrix K.

    Returns:
        (4,) float64 fx, fy, cx, cy in pixels of the image.

    Raises:
        HandmeshError: the camera is not calibrated, a number is not finite or one that no camera
            has, or the shape of the image is not that of the calibration.
    """
    # Plain numbers: arrays of two cost more than what is computed with them.
    name, values, places = ("P", info.p, P_PLACES) if rectified else ("K", info.k, K_PLACES)
    fx, fy, cx, cy = (float(values[place]) for place in places)
    if not math.isfinite(fx + fy + cx + cy):
        raise HandmeshError(
            f"The matrix {name} of camera_info has numbers that are not finite: calibrate the "
            "camera again."
        )
    if not np.any(values):
        raise HandmeshError(
            f"The matrix {name} of camera_info is zero, which says that the camera is not "
            "calibrated: calibrate it."
        )
    if fx <= 0 or fy <= 0:
        raise HandmeshError(
            f"The matrix {name} of camera_info has the focal lengths {fx:g} and {fy:g}, so the "
            "camera is not calibrated: calibrate it."
        )
    height, width = image_size
    x_binning, y_binning = max(info.binning_x, 1), max(info.binning_y, 1)
    whole = info.width, info.height
    roi = info.roi
    if whole == (0, 0):
        # A sensor of unknown size is taken to be no larger than what it shows.
        whole = width * x_binning, height * y_binning
        if roi.width and roi.height:
            whole = roi.x_offset + roi.width, roi.y_offset + roi.height
    size = _region_size(roi, whole)
    _check_plausible(name, (fx, fy), (cx, cy), whole)
    x_scale, y_scale = width / size[0], height / size[1]
    if abs(x_scale / y_scale * x_binning / y_binning - 1.0) > ASPECT_TOLERANCE:
        raise HandmeshError(
            f"camera_info is for images of {size[0] / x_binning:g}×{size[1] / y_binning:g} "
            f"pixels, the image has {width}×{height} and so another shape: "
            "publish the camera_info that belongs to it."
        )
    if (
        not 1 / UNEVEN_BINNING <= x_binning / y_binning <= UNEVEN_BINNING
        or size[0] < x_binning
        or size[1] < y_binning
        or max(x_scale, y_scale) > LARGEST_ENLARGEMENT
    ):
        raise HandmeshError(
            f"camera_info has a region of {size[0]}×{size[1]} pixels and the binning "
            f"{x_binning}×{y_binning}, which do not fit an image of {width}×{height}: correct roi "
            "and binning in the camera driver."
        )
    # Pixel centres are at whole numbers, hence the half pixel.
    x, y = ((cx - roi.x_offset) + 0.5) * x_scale - 0.5, ((cy - roi.y_offset) + 0.5) * y_scale - 0.5
    return np.array([fx * x_scale, fy * y_scale, x, y])


def _region_size(roi: Any, whole: tuple[int, int]) -> tuple[int, int]:
    """Return the width and height of the region of interest, pixels of the sensor.

    Args:
        roi: the RegionOfInterest message; 0 as a width or height is the sensor's.
        whole: width and height of the sensor, pixels.

    Raises:
        HandmeshError: the sensor has no pixels, or the region is not on it.
    """
    if whole[0] <= 0 or whole[1] <= 0:
        raise HandmeshError(
            f"camera_info is for a sensor of {whole[0]}×{whole[1]} pixels: set width and height "
            "in the camera driver."
        )
    width, height = roi.width or whole[0], roi.height or whole[1]
    if roi.x_offset + width > whole[0] or roi.y_offset + height > whole[1]:
        raise HandmeshError(
            f"The region of interest of camera_info ({width}×{height} pixels from x = "
            f"{roi.x_offset}, y = {roi.y_offset}) is not on its sensor of {whole[0]}×{whole[1]}: "
            "correct roi in the camera driver."
        )
    return width, height


def _check_plausible(
    name: str, focal: tuple[float, float], centre: tuple[float, float], size: tuple[int, int]
) -> None:
    """Refuse what no camera has, such as a calibration in metres or of garbled bytes.

    Args:
        name: of the matrix.
        focal: fx and fy, pixels of the whole image.
        centre: cx and cy, pixels of the whole image.
        size: width and height of the whole image, pixels.

    Raises:
        HandmeshError: the numbers are not possible.
    """
    is_possible = 1 / SQUARENESS <= focal[0] / focal[1] <= SQUARENESS and all(
        NARROWEST_RAD <= 2.0 * math.atan2(side, 2.0 * length) <= WIDEST_RAD
        and abs(middle - side / 2) <= CENTRE_REACH * side
        for length, middle, side in zip(focal, centre, size, strict=True)
    )
    if not is_possible:
        raise HandmeshError(
            f"The matrix {name} of camera_info has fx, fy = {focal[0]:g}, {focal[1]:g} and cx, cy "
            f"= {centre[0]:g}, {centre[1]:g}, which no camera of {size[0]}×{size[1]} pixels "
            "has: give them in pixels, or calibrate the camera again."
        )


class CameraInfos:
    """The latest CameraInfo of the latest frames: no exact pairing by stamp is needed.

    Safe between threads: messages come in on another one than images are worked on.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_frame: OrderedDict[str, Any] = OrderedDict()

    def update(self, info: Any) -> None:
        """Remember a message; of more than `FRAMES_KEPT` frames the oldest is forgotten."""
        frame_id = info.header.frame_id
        with self._lock:
            self._by_frame[frame_id] = info
            self._by_frame.move_to_end(frame_id)
            if len(self._by_frame) > FRAMES_KEPT:
                self._by_frame.popitem(last=False)

    def find(self, frame_id: str) -> Any | None:
        """Return the latest message of this frame; an empty frame name matches every other.

        Raises:
            HandmeshError: messages came, but all of other frames.
        """
        with self._lock:
            found = self._by_frame.get(frame_id)
            latest = next(reversed(self._by_frame.values()), None)
        if found is not None or latest is None:
            return found
        if not frame_id or not latest.header.frame_id:
            return latest
        raise HandmeshError(
            f"The image is of the frame {frame_id!r}, but camera_info of "
            f"{latest.header.frame_id!r}: publish both with the same frame."
        )

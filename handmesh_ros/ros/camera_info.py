"""sensor_msgs/CameraInfo to the intrinsics of an image."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError

NARROWEST_RAD, WIDEST_RAD = np.radians([0.5, 179.0])
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
    name, values = ("P", info.p) if rectified else ("K", info.k)
    matrix = np.asarray(values, float).reshape(3, -1)
    focal, centre = np.array([matrix[0, 0], matrix[1, 1]]), matrix[:2, 2]
    if not (np.isfinite(focal).all() and np.isfinite(centre).all()):
        raise HandmeshError(
            f"The matrix {name} of camera_info has numbers that are not finite: calibrate the "
            "camera again."
        )
    if not matrix.any():
        raise HandmeshError(
            f"The matrix {name} of camera_info is zero, which says that the camera is not "
            "calibrated: calibrate it."
        )
    if (focal <= 0).any():
        raise HandmeshError(
            f"The matrix {name} of camera_info has the focal lengths {focal[0]:g} and "
            f"{focal[1]:g}, so the camera is not calibrated: calibrate it."
        )
    binning = np.maximum([info.binning_x, info.binning_y], 1)
    whole = np.array([info.width, info.height], float)
    if not whole.any():
        # A sensor of unknown size is taken to be no larger than what it shows.
        is_whole = not info.roi.width or not info.roi.height
        end = [info.roi.x_offset + info.roi.width, info.roi.y_offset + info.roi.height]
        whole = np.array(image_size[::-1] * binning if is_whole else end, float)
    corner, size = _region(info.roi, whole)
    _check_plausible(name, focal, centre, whole)
    centre = centre - corner
    scale = np.array(image_size[::-1]) / size
    if abs(scale[0] / scale[1] * binning[0] / binning[1] - 1.0) > ASPECT_TOLERANCE:
        raise HandmeshError(
            f"camera_info is for images of {size[0] / binning[0]:g}×{size[1] / binning[1]:g} "
            f"pixels, the image has {image_size[1]}×{image_size[0]} and so another shape: "
            "publish the camera_info that belongs to it."
        )
    stretch = max(binning) / min(binning)
    if stretch > UNEVEN_BINNING or (size < binning).any() or scale.max() > LARGEST_ENLARGEMENT:
        raise HandmeshError(
            f"camera_info has a region of {size[0]:g}×{size[1]:g} pixels and the binning "
            f"{binning[0]}×{binning[1]}, which do not fit an image of {image_size[1]}×"
            f"{image_size[0]}: correct roi and binning in the camera driver."
        )
    # Pixel centres are at whole numbers, hence the half pixel.
    return np.concatenate([focal * scale, (centre + 0.5) * scale - 0.5])


def _region(roi: Any, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the region of interest begins and its size, (2,) pixels of the sensor each.

    Args:
        roi: the RegionOfInterest message; 0 as a width or height is the sensor's.
        whole: (2,) width and height of the sensor, pixels.

    Raises:
        HandmeshError: the sensor has no pixels, or the region is not on it.
    """
    if (whole <= 0).any():
        raise HandmeshError(
            f"camera_info is for a sensor of {whole[0]:g}×{whole[1]:g} pixels: set width and "
            "height in the camera driver."
        )
    corner = np.array([roi.x_offset, roi.y_offset], float)
    size = np.array([roi.width or whole[0], roi.height or whole[1]], float)
    if (corner < 0).any() or (size < 0).any() or (corner + size > whole).any():
        raise HandmeshError(
            f"The region of interest of camera_info ({size[0]:.9g}×{size[1]:.9g} pixels from x = "
            f"{corner[0]:.9g}, y = {corner[1]:.9g}) is not on its sensor of "
            f"{whole[0]:g}×{whole[1]:g}: correct roi in the camera driver."
        )
    return corner, size


def _check_plausible(name: str, focal: np.ndarray, centre: np.ndarray, size: np.ndarray) -> None:
    """Refuse what no camera has, such as a calibration in metres or of garbled bytes.

    Args:
        name: of the matrix.
        focal: (2,) fx and fy, pixels of the whole image.
        centre: (2,) cx and cy, pixels of the whole image.
        size: (2,) width and height of the whole image, pixels.

    Raises:
        HandmeshError: the numbers are not possible.
    """
    view_rad = 2.0 * np.arctan2(size, 2.0 * focal)
    too_far = np.abs(centre - size / 2) > CENTRE_REACH * size
    is_square = 1 / SQUARENESS <= focal[0] / focal[1] <= SQUARENESS
    impossible = (view_rad < NARROWEST_RAD) | (view_rad > WIDEST_RAD) | too_far
    if not is_square or impossible.any():
        raise HandmeshError(
            f"The matrix {name} of camera_info has fx, fy = {focal[0]:g}, {focal[1]:g} and cx, cy "
            f"= {centre[0]:g}, {centre[1]:g}, which no camera of {size[0]:g}×{size[1]:g} pixels "
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

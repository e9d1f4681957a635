"""sensor_msgs/CameraInfo to the intrinsics of an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError

NARROWEST_RAD, WIDEST_RAD = np.radians([0.5, 179.0])
"""Fields of view that a calibration may have: those of a telescope and of a fisheye lens."""

CENTRE_REACH = 2.0
"""The principal point may lie so many image sizes from the middle of the whole image."""

ASPECT_TOLERANCE = 0.02
"""Width over height of image and calibration may differ by this much (a cropped row or two)."""


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
    roi = info.roi
    size = np.array([roi.width or info.width, roi.height or info.height], float)
    binning = np.maximum([info.binning_x, info.binning_y], 1)
    if (size <= 0).any():
        size = np.array(image_size[::-1]) * binning
    whole = np.array([info.width or size[0], info.height or size[1]], float)
    _check_plausible(name, focal, centre, whole)
    centre = centre - [roi.x_offset, roi.y_offset]
    scale = np.array(image_size[::-1]) / size
    if abs(scale[0] / scale[1] * binning[0] / binning[1] - 1.0) > ASPECT_TOLERANCE:
        raise HandmeshError(
            f"camera_info is for images of {size[0] / binning[0]:g}×{size[1] / binning[1]:g} "
            f"pixels, the image has {image_size[1]}×{image_size[0]} and so another shape: "
            "publish the camera_info that belongs to it."
        )
    # Pixel centres are at whole numbers, hence the half pixel.
    return np.concatenate([focal * scale, (centre + 0.5) * scale - 0.5])


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
    if (view_rad < NARROWEST_RAD).any() or (view_rad > WIDEST_RAD).any() or too_far.any():
        raise HandmeshError(
            f"The matrix {name} of camera_info has fx, fy = {focal[0]:g}, {focal[1]:g} and cx, cy "
            f"= {centre[0]:g}, {centre[1]:g}, which no camera of {size[0]:g}×{size[1]:g} pixels "
            "has: give them in pixels, or calibrate the camera again."
        )


class CameraInfos:
    """The latest CameraInfo of every frame: no exact pairing by stamp is needed.

    Safe between threads: messages come in on another one than images are worked on.
    """

    def __init__(self) -> None:
        self._by_frame: dict[str, Any] = {}

    def update(self, info: Any) -> None:
        """Remember a message."""
        frame_id = info.header.frame_id
        others = {name: known for name, known in self._by_frame.items() if name != frame_id}
        # Replaced, not changed: whoever looks meanwhile finds the old or the new one.
        self._by_frame = {**others, frame_id: info}

    def find(self, frame_id: str) -> Any | None:
        """Return the latest message of this frame; an empty frame name matches every other.

        Raises:
            HandmeshError: messages came, but all of other frames.
        """
        by_frame = self._by_frame
        if not by_frame:
            return None
        if frame_id in by_frame:
            return by_frame[frame_id]
        latest = next(reversed(by_frame.values()))
        if not frame_id or not latest.header.frame_id:
            return latest
        raise HandmeshError(
            f"The image is of the frame {frame_id!r}, but camera_info of "
            f"{latest.header.frame_id!r}: publish both with the same frame."
        )

"""Letterbox: source image ↔ network input, for pixels, points and intrinsics.

The image is scaled to fit, aligned with the top-left corner and padded right and below with grey.
With pixel centres at integers a scale s maps x to (x + 0.5)·s − 0.5, exactly and per axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from handmesh_ros.errors import HandmeshError

PADDING_GREY = 114
ASSUMED_FOV_DEG = 60.0
"""Field of view of an uncalibrated camera across the longer image side; typical of webcams."""


@dataclass(frozen=True)
class Letterbox:
    """The affine map between a source image and the network input.

    Attributes:
        scale: (2,) float64, network pixels per source pixel along x and y.
        size: (height, width) of the scaled image inside the network input, pixels.
        halvings: how often the image is halved before the last, bilinear, step.
    """

    scale: np.ndarray
    size: tuple[int, int]
    halvings: int

    @classmethod
    def fit(cls, source_size: tuple[int, int], input_size: tuple[int, int]) -> Letterbox:
        """Return the map that fits an image of `source_size` into `input_size`, both (H, W)."""
        height, width = source_size
        fit = min(input_size[0] / height, input_size[1] / width)
        size = (
            min(input_size[0], max(1, round(height * fit))),
            min(input_size[1], max(1, round(width * fit))),
        )
        # A whole image loses up to 2^halvings − 1 pixels at its right and lower border, so that
        # halving stays exact; a short side is never halved below two pixels.
        halvings = max(0, math.floor(math.log2(1.0 / fit)))
        halvings = min(halvings, math.floor(math.log2(min(height, width))))
        block = 2**halvings
        kept = (height // block * block, width // block * block)
        return cls(np.array([size[1] / kept[1], size[0] / kept[0]]), size, halvings)

    def render(self, image: np.ndarray, canvas: np.ndarray) -> None:
        """Scale `image` (H, W, 3) uint8 into the top-left corner of `canvas`, in place.

        Repeated halving by 2×2 means, then bilinear: nearly as good as averaging over the exact
        pixel area and several times faster.
        """
        for _ in range(self.halvings):
            height, width = image.shape[0] // 2, image.shape[1] // 2
            image = cv2.resize(
                image[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA
            )
        height, width = self.size
        corner = canvas[:height, :width]
        cv2.resize(image, (width, height), dst=corner, interpolation=cv2.INTER_LINEAR)

    def points_to_network(self, points: np.ndarray) -> np.ndarray:
        """Map (..., 2) source pixels to network pixels."""
        return (points + 0.5) * self.scale - 0.5

    def points_to_source(self, points: np.ndarray) -> np.ndarray:
        """Map (..., 2) network pixels to source pixels."""
        return (points + 0.5) / self.scale - 0.5

    def boxes_to_source(self, boxes: np.ndarray) -> np.ndarray:
        """Map (..., 4) boxes x0, y0, x1, y1 from network to source pixels."""
        return self.points_to_source(boxes.reshape(*boxes.shape[:-1], 2, 2)).reshape(boxes.shape)

    def intrinsics_to_network(self, intrinsics: np.ndarray) -> np.ndarray:
        """Map (4,) fx, fy, cx, cy of the source image to those of the network input."""
        principal_point = self.points_to_network(intrinsics[2:])
        return np.concatenate([intrinsics[:2] * self.scale, principal_point])


class Preprocessor:
    """Turns source images into the network's two inputs, in one reused buffer.

    Args:
        input_size: (H, W) of the network input, pixels.
    """

    def __init__(self, input_size: tuple[int, int]) -> None:
        self.input_size = input_size
        self._canvas = np.empty((1, *input_size, 3), np.uint8)
        self._source_size: tuple[int, int] | None = None
        self._letterbox = Letterbox.fit(input_size, input_size)

    def letterbox(
        self, image: np.ndarray, intrinsics: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, Letterbox]:
        """Letterbox an image.

        Args:
            image: (H, W, 3) uint8 RGB.
            intrinsics: (4,) fx, fy, cx, cy in pixels of `image`.

        Returns:
            The network's `image` [1, H, W, 3] uint8, valid until the next call, its `intrinsics`
            [1, 4] float32, and the map between both images.
        """
        source_size = image.shape[:2]
        if source_size != self._source_size:
            self._letterbox = Letterbox.fit(source_size, self.input_size)
            self._canvas.fill(PADDING_GREY)
            self._source_size = source_size
        self._letterbox.render(np.ascontiguousarray(image), self._canvas[0])
        network_intrinsics = self._letterbox.intrinsics_to_network(intrinsics)
        return self._canvas, network_intrinsics.astype(np.float32)[None], self._letterbox


def check_image(image: np.ndarray) -> None:
    """Check that `image` is (H, W, 3) uint8 and not empty.

    Raises:
        HandmeshError: it is not.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = f"dtype {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise HandmeshError(
            f"The image has {found}, but a NumPy array of uint8 is needed: convert it to 8 bits."
        )
    if image.ndim != 3 or image.shape[2] != 3:
        raise HandmeshError(
            f"The image has shape {image.shape}, but (height, width, 3) RGB is needed: "
            f"convert grey or alpha images to RGB."
        )
    if image.size == 0:
        raise HandmeshError(
            f"The image has no pixels (shape {image.shape}): check the camera or the file."
        )


def check_intrinsics(intrinsics: np.ndarray | tuple[float, ...] | list[float]) -> np.ndarray:
    """Return `intrinsics` as (4,) float64 fx, fy, cx, cy.

    Raises:
        HandmeshError: not four finite numbers, or a focal length that is not positive.
    """
    try:
        array = np.asarray(intrinsics, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != (4,):
        raise HandmeshError(
            f"The intrinsics {intrinsics!r} are not four numbers: give fx, fy, cx, cy in pixels."
        )
    if not np.isfinite(array).all() or (array[:2] <= 0).any():
        raise HandmeshError(
            f"The intrinsics fx, fy, cx, cy = {array.tolist()} are not usable: all must be finite "
            f"and fx, fy positive, so calibrate the camera or leave them out."
        )
    return array


def intrinsics_from_fov(height: int, width: int, fov_deg: float = ASSUMED_FOV_DEG) -> np.ndarray:
    """Return (4,) fx, fy, cx, cy of a camera with square pixels and a centred principal point.

    Args:
        height: image height, pixels.
        width: image width, pixels.
        fov_deg: field of view across the longer image side, degrees in (0, 180).

    Raises:
        HandmeshError: the field of view is outside (0, 180).
    """
    if not 0.0 < fov_deg < 180.0:
        raise HandmeshError(
            f"A field of view of {fov_deg} degrees is not possible: give one between 0 and 180."
        )
    focal = 0.5 * max(height, width) / math.tan(math.radians(fov_deg) / 2.0)
    return np.array([focal, focal, (width - 1) / 2.0, (height - 1) / 2.0])

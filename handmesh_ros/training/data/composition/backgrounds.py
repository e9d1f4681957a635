"""Pictures to put behind hands: folders of photographs, or drawn ones where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.media.folders import files_below
from handmesh_ros.media.photos import READABLE, read_photo

_STORED_SIDE = 480


class Backgrounds:
    """Random backgrounds of any size; photographs are read once and kept small in memory.

    Args:
        folders: searched recursively for images; none for procedural backgrounds only.
        procedural: fraction of procedural backgrounds beside the photographs.
        kept: how many photographs stay in memory.

    Raises:
        HandmeshError: folders are given and hold no image, or one cannot be read.
    """

    def __init__(
        self, folders: Sequence[str | Path] = (), procedural: float = 0.1, kept: int = 300
    ) -> None:
        self.paths = sorted(
            path
            for folder in folders
            for path in files_below(folder)
            if path.suffix.lower() in READABLE
        )
        if folders and not self.paths:
            listed = ", ".join(str(folder) for folder in folders)
            raise HandmeshError(f"No background image lies in {listed}; give a photo folder.")
        self.procedural = procedural if self.paths else 1.0
        self.kept = kept
        self._images: dict[Path, np.ndarray | None] = {}

    def draw(self, rng: np.random.Generator, width: int, height: int) -> np.ndarray:
        """Return a random (height, width, 3) uint8 RGB background, a copy to draw over."""
        if rng.random() >= self.procedural:
            image = self._image(self.paths[rng.integers(len(self.paths))])
            if image is not None:
                return random_crop(image, rng, width, height)
        return procedural_background(rng, width, height)

    def _image(self, path: Path) -> np.ndarray | None:
        if path not in self._images:
            if len(self._images) >= self.kept:
                self._images.pop(next(iter(self._images)))
            self._images[path] = _read_small(path)
        return self._images[path]


def random_crop(
    image: np.ndarray, rng: np.random.Generator, width: int, height: int
) -> np.ndarray:
    """Return a random part of an image, mirrored half of the time, resized to width × height."""
    full_height, full_width = image.shape[:2]
    fit = min(full_width / width, full_height / height)
    fit *= rng.uniform(0.4, 1.0)
    crop_width, crop_height = max(1, int(width * fit)), max(1, int(height * fit))
    x = rng.integers(full_width - crop_width + 1)
    y = rng.integers(full_height - crop_height + 1)
    crop = image[y : y + crop_height, x : x + crop_width]
    method = cv2.INTER_AREA if fit > 1.5 else cv2.INTER_LINEAR
    resized = cv2.resize(crop, (width, height), interpolation=method)
    return cv2.flip(resized, 1) if rng.random() < 0.5 else resized


def procedural_background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return a (height, width, 3) uint8 drawing: clouds of colour, shapes, stripes, grain."""
    cells = int(rng.integers(2, 9))
    base = rng.uniform(20, 235, 3)
    clouds = base + rng.normal(0, rng.uniform(5, 60), (cells, cells, 3))
    clouds = clouds.clip(0, 255).astype(np.uint8)
    image = cv2.resize(clouds, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(0, 12)):
        colour = rng.integers(0, 256, 3).tolist()
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = rng.integers(4, max(8, width // 3), 2).tolist()
        angle = float(rng.uniform(0, 360))
        kind = rng.integers(3)
        if kind == 0:
            cv2.ellipse(image, centre, axes, angle, 0, 360, colour, -1, cv2.LINE_AA)
        elif kind == 1:
            corners = cv2.boxPoints((centre, axes, angle)).astype(np.int32)
            cv2.fillConvexPoly(image, corners, colour, cv2.LINE_AA)
        else:
            end = (int(rng.integers(width)), int(rng.integers(height)))
            cv2.line(image, centre, end, colour, int(rng.integers(1, 8)), cv2.LINE_AA)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 4))
    grain = np.empty(image.shape, np.int16)
    cv2.setRNGSeed(int(rng.integers(1 << 31)))
    cv2.randn(grain, np.zeros(3), np.full(3, rng.uniform(0, 12)))
    return cv2.add(image, grain, dtype=cv2.CV_8U)


def _read_small(path: Path) -> np.ndarray | None:
    try:
        image = read_photo(path)
    except HandmeshError:
        return None
    scale = _STORED_SIDE / min(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return image

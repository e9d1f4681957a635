"""What stands behind the hands: crops of photographs, or painted scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.media.folders import files_below
from handmesh_ros.media.photos import READABLE, read_photo
from handmesh_ros.training.synthesis.skins import ALBEDO, TONES

LONGEST_SIDE = 896
PAINTED_SHARE = 0.15
FACES_SHARE = 0.15


class Backgrounds:
    """Source of backgrounds.

    Args:
        folders: of photographs without hands, searched through all levels; none at all means
            painted backgrounds only.

    Raises:
        HandmeshError: a folder does not exist or holds no image.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self.paths: list[Path] = []
        for folder in folders:
            found = sorted(p for p in files_below(folder) if p.suffix.lower() in READABLE)
            if not found:
                raise HandmeshError(
                    f"The folder of backgrounds {folder} holds no image: give a folder of "
                    "photographs without hands."
                )
            self.paths += found
        self._images: dict[int, np.ndarray] = {}

    def sample(self, rng: np.random.Generator, width: int, height: int) -> np.ndarray:
        """Draw a (height, width, 3) uint8 RGB background."""
        if not self.paths or rng.random() < PAINTED_SHARE:
            image = paint_scene(rng, width, height)
        else:
            image = self._crop(rng, width, height)
        if rng.random() < FACES_SHARE:
            image = _paint_people(rng, image)
        if rng.random() < 0.25:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 4.0) * width / 320)
        gain = np.exp(rng.normal(0, 0.25) + rng.normal(0, 0.07, 3))
        return np.clip(image * gain, 0, 255).astype(np.uint8)

    def _image(self, number: int) -> np.ndarray:
        """Return one photograph, from memory where it was read before."""
        if number not in self._images:
            image = read_photo(self.paths[number])
            scale = LONGEST_SIDE / max(image.shape[:2])
            if scale < 1:
                image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            self._images[number] = image
        return self._images[number]

    def _crop(self, rng: np.random.Generator, width: int, height: int) -> np.ndarray:
        image = self._image(int(rng.integers(len(self.paths))))
        rows, columns = image.shape[:2]
        largest = min(rows / height, columns / width)
        scale = largest * rng.uniform(0.3, 1.0)
        crop_w, crop_h = max(int(width * scale), 8), max(int(height * scale), 8)
        x, y = rng.integers(columns - crop_w + 1), rng.integers(rows - crop_h + 1)
        crop = image[y : y + crop_h, x : x + crop_w]
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        how = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
        return cv2.resize(np.ascontiguousarray(crop), (width, height), interpolation=how)


def _noise(rng: np.random.Generator, width: int, height: int, cells: int) -> np.ndarray:
    """Return (height, width) smooth noise of unit strength."""
    coarse = rng.normal(0, 1, (cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def random_color(rng: np.random.Generator) -> np.ndarray:
    """Draw an sRGB colour 0..255; greys, browns and skin-like tones are frequent."""
    kind = rng.random()
    if kind < 0.35:
        return np.clip(rng.uniform(15, 245) + rng.normal(0, 12, 3), 0, 255)
    if kind < 0.55:
        return np.clip(TONES[rng.integers(len(TONES))] + rng.normal(0, 18, 3), 0, 255)
    return rng.uniform(0, 255, 3)


def paint_scene(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Paint a gradient with noise, stripes, shapes and lines."""
    down = np.linspace(0, 1, height)[:, None, None]
    across = np.linspace(0, 1, width)[None, :, None]
    mix = np.clip(rng.normal(0, 1) * (down - 0.5) + rng.normal(0, 1) * (across - 0.5) + 0.5, 0, 1)
    image = (1 - mix) * random_color(rng) + mix * random_color(rng)
    image = np.ascontiguousarray(image, np.float32)
    if rng.random() < 0.4:
        period, angle = rng.uniform(6, 60), rng.uniform(0, np.pi)
        phase = (across * width * np.cos(angle) + down * height * np.sin(angle)) / period
        image += (np.sin(2 * np.pi * phase) > rng.uniform(-0.9, 0.9)) * rng.normal(0, 35, 3)
    for _ in range(rng.integers(0, 14)):
        color = random_color(rng).tolist()
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        extent = width * np.exp(rng.uniform(np.log(0.03), np.log(0.5)))
        axes = (int(extent * rng.uniform(0.3, 1)) + 1, int(extent * rng.uniform(0.3, 1)) + 1)
        angle = rng.uniform(0, 360)
        kind = rng.random()
        if kind < 0.4:
            cv2.ellipse(image, centre, axes, angle, 0, 360, color, -1, cv2.LINE_AA)
        elif kind < 0.8:
            corners = cv2.boxPoints((centre, (2.0 * axes[0], 2.0 * axes[1]), angle))
            cv2.fillConvexPoly(image, corners.astype(np.int32), color, cv2.LINE_AA)
        else:
            end = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
            cv2.line(image, centre, end, color, int(rng.integers(1, 12)), cv2.LINE_AA)
    for cells in (4, 16, 80):
        image += _noise(rng, width, height, cells)[..., None] * rng.uniform(0, 14)
    return np.clip(image, 0, 255).astype(np.uint8)


def _paint_people(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Add skin-coloured heads and limbs without hands, so that skin alone is no evidence."""
    height, width = image.shape[:2]
    layer = image.astype(np.float32)
    for _ in range(rng.integers(1, 4)):
        color = np.clip(TONES[rng.integers(1, len(TONES))] * np.sqrt(ALBEDO), 0, 255)
        mask = np.zeros((height, width), np.float32)
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height * 0.8)))
        extent = width * np.exp(rng.uniform(np.log(0.05), np.log(0.28)))
        if rng.random() < 0.7:
            axes = (int(extent * rng.uniform(0.65, 0.85)) + 1, int(extent) + 1)
            body = (centre[0], int(centre[1] + 3.2 * axes[1]))
            cloth = random_color(rng).tolist()
            cv2.ellipse(
                layer, body, (int(2.2 * axes[0]), int(2.2 * axes[1])), 0, 0, 360, cloth, -1
            )
            hair = (centre[0], int(centre[1] - 0.25 * axes[1]))
            dark = (random_color(rng) * 0.4).tolist()
            cv2.ellipse(layer, hair, (int(axes[0] * 1.1) + 1, axes[1]), 0, 0, 360, dark, -1)
            cv2.ellipse(mask, centre, axes, rng.normal(0, 12), 0, 360, 1.0, -1, cv2.LINE_AA)
        else:
            end = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
            cv2.line(mask, centre, end, 1.0, int(extent * 0.6) + 2, cv2.LINE_AA)
        tilt = rng.normal(0, 0.25, 2)
        ramp = 1 + tilt[0] * (np.arange(width) - centre[0])[None] / max(extent, 1)
        ramp = np.clip(
            ramp + tilt[1] * (np.arange(height) - centre[1])[:, None] / extent, 0.35, 1.3
        )
        ramp = ramp + 0.06 * _noise(rng, width, height, 24)
        layer += mask[..., None] * (color * ramp[..., None] - layer)
    return np.clip(layer, 0, 255).astype(np.uint8)

"""Skin colours of the hands: photographs of skins where given, else painted ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from handmesh_ros.errors import HandmeshError

if TYPE_CHECKING:
    from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.training.synthesis.meshes import vertex_normals
from handmesh_ros.training.synthesis.renderer import TEXTURE_SIZE

TONES = np.array(
    [
        [246, 237, 228],
        [243, 231, 219],
        [247, 234, 208],
        [234, 218, 186],
        [215, 189, 150],
        [160, 126, 86],
        [130, 92, 67],
        [96, 65, 52],
        [58, 49, 42],
        [41, 36, 32],
    ]
)
"""(10, 3) sRGB of the Monk Skin Tone Scale (Google, 2022), light to dark."""

ALBEDO = np.array([0.85, 0.66, 0.56])
"""Linear factor from the scale's swatches, which are lit and neutral, to the colour of skin."""

PAINTED = 8


@dataclass(frozen=True)
class Skin:
    """One person's skin.

    Attributes:
        layer: texture layer.
        tint: (3,) factor on the texture, linear RGB.
        arm: (3,) linear RGB of the forearm.
    """

    layer: int
    tint: np.ndarray
    arm: np.ndarray


class Skins:
    """The skins of one run.

    Args:
        template: render hand model with `uv` and `uv_faces`.
        folder: of images that cover the hand's texture square, in it or in its folder `hand`; None
            for painted skins.

    Attributes:
        textures: (L, 512, 512, 3) uint8 sRGB.

    Raises:
        HandmeshError: the folder holds no readable image.
    """

    def __init__(self, template: HandTemplate, folder: Path | None = None) -> None:
        self.uv, self.uv_vertex, self.uv_faces = texture_coordinates(template)
        if folder is None:
            self.textures = _paint(template, self.uv, self.uv_vertex, self.uv_faces)
        else:
            self.textures = _read(folder)
        normals = vertex_normals(template.template, template.faces)
        back = self._columns_rows(self.uv[normals[self.uv_vertex, 1] > 0.6])
        self.means = np.stack(
            [(texture[back[1], back[0]] / 255.0).mean(0) ** 2 for texture in self.textures]
        )

    @staticmethod
    def _columns_rows(uv: np.ndarray) -> np.ndarray:
        return np.clip(uv * TEXTURE_SIZE, 0, TEXTURE_SIZE - 1).astype(int).T

    def sample(self, rng: np.random.Generator) -> Skin:
        """Draw a skin so that light and dark ones are equally frequent."""
        tone = rng.uniform(0, len(TONES) - 1)
        low = min(int(tone), len(TONES) - 2)
        srgb = TONES[low] + (tone - low) * (TONES[low + 1] - TONES[low])
        target = np.maximum((srgb / 255.0) ** 2 * ALBEDO, 0.012)
        apart = np.abs(np.log(self.means.mean(1)) - np.log(target.mean()))
        layer = int(rng.choice(np.argsort(apart)[: max(1, len(apart) // 2)]))
        ratio = target / self.means[layer]
        brightness = ratio.mean()
        wanted = brightness ** rng.uniform(0.5, 0.95) * (ratio / brightness) ** rng.uniform(0, 0.6)
        tint = np.clip(wanted, 0.3, 1.7) * np.exp(rng.normal(0, 0.05, 3))
        return Skin(layer, tint, self.means[layer] * tint)

    def albedo(self, skin: Skin, uv: np.ndarray) -> np.ndarray:
        """Return the (P, 3) uint8 sRGB colours at (P, 2) texture coordinates."""
        column, row = self._columns_rows(uv)
        linear = (self.textures[skin.layer][row, column] / 255.0) ** 2 * skin.tint
        return np.round(np.sqrt(np.clip(linear, 0, 1)) * 255).astype(np.uint8)


def texture_coordinates(template: HandTemplate) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the hand's own texture, cut out of the body's sheet.

    Returns:
        (U, 2) coordinates in the hand's square, rows downwards; the (U,) vertex that each belongs
        to; (F, 3) triangles of these U corners.
    """
    on_sheet = template.uv_faces[: template.hand_face_count]
    used, faces = np.unique(on_sheet, return_inverse=True)
    faces = faces.reshape(-1, 3)
    vertex = np.zeros(len(used), int)
    vertex[faces.ravel()] = template.faces[: template.hand_face_count].ravel()
    u, v = ((template.uv[used] - template.hand_uv_window[:2]) / template.hand_uv_window[2]).T
    return np.stack([u, 1.0 - v], axis=1), vertex, faces


def _read(folder: Path) -> np.ndarray:
    """Read all images of a folder as layers; those of its folder `hand` where it has one."""
    layers = []
    inner = folder / "hand"
    for path in sorted((inner if inner.is_dir() else folder).glob("*")):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is not None:
            image = cv2.resize(image, (TEXTURE_SIZE, TEXTURE_SIZE), interpolation=cv2.INTER_CUBIC)
            layers.append(image[..., ::-1])
    if not layers:
        raise HandmeshError(
            f"The folder of skins {folder} holds no readable image: give a folder of hand skin "
            "textures, or none for painted skins."
        )
    return np.ascontiguousarray(np.stack(layers))


def _paint(
    template: HandTemplate, uv: np.ndarray, uv_vertex: np.ndarray, uv_faces: np.ndarray
) -> np.ndarray:
    """Paint skins from the model's regions: pale palms, dark knuckles and creases, nails."""
    masks = dict(
        zip(template.skin_region_names, template.skin_regions.T[:, uv_vertex], strict=True)
    )
    palm, nail, knuckle, crease = (
        masks[name][:, None] for name in ("palm", "nail", "knuckle", "crease")
    )
    corners = np.round(uv * TEXTURE_SIZE).astype(np.int32)
    layers = []
    for number in range(PAINTED):
        rng = np.random.default_rng(number)
        base = TONES[round(1 + number * 7.5 / (PAINTED - 1))] / 255.0 * np.sqrt(ALBEDO)
        paler = np.maximum(base * 0.45 + np.array([0.46, 0.33, 0.28]), base)
        color = base + 0.75 * palm * (paler - base)
        color = color * (1 - knuckle * (1 - palm) * [0.1, 0.2, 0.2])
        color = color * (1 - crease * [0.12, 0.2, 0.2])
        color = color + nail * (0.5 * color + [0.42, 0.32, 0.3] - color)
        image: np.ndarray = np.full((TEXTURE_SIZE, TEXTURE_SIZE, 3), base, np.float32)
        for triangle, value in zip(uv_faces, color[uv_faces].mean(1), strict=True):
            cv2.fillConvexPoly(image, corners[triangle], value.tolist(), cv2.LINE_8)
        image = cv2.GaussianBlur(image, (0, 0), 2.5)
        for cells, strength in ((12, 0.05), (60, 0.04), (200, 0.03)):
            noise: np.ndarray = rng.normal(0, strength, (cells, cells, 1)).astype(np.float32)
            noise = cv2.resize(noise, (TEXTURE_SIZE, TEXTURE_SIZE), interpolation=cv2.INTER_CUBIC)
            image = image * (1 + noise[..., None] * np.array([0.6, 1.0, 1.0], np.float32))
        layers.append(np.clip(image * 255, 0, 255).astype(np.uint8))
    return np.stack(layers)

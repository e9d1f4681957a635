"""What all viewers need of a hand's mesh: normals, and colours as light adds up."""

from __future__ import annotations

import numpy as np

AMBIENT = 0.4
LIGHT = np.array([-0.4, -0.6, -0.69282], np.float32)
"""Unit vector towards the light of `vertex_shade`, optical frame (x right, y down, z ahead)."""


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return (V, 3) float32 unit normals, the mean of the faces around, weighted by their areas.

    Args:
        vertices: (V, 3).
        faces: (F, 3), counter-clockwise seen from outside. A vertex that no face uses, or whose
            faces cancel out, gets +z.
    """
    corners = vertices[faces].astype(np.float64)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros((len(vertices), 3))
    for corner in range(3):
        np.add.at(normals, faces[:, corner], across)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    usable = length[:, 0] > 1e-14
    normals[~usable] = (0.0, 0.0, 1.0)
    return (normals / np.where(usable[:, None], length, 1.0)).astype(np.float32)


def vertex_shade(normals: np.ndarray) -> np.ndarray:
    """Return (V,) brightness in [AMBIENT, 1] of matte vertices, for viewers that do not light.

    The light comes from behind the camera, above and to the left, and softly from all around.

    Args:
        normals: (V, 3) unit normals in a camera's optical frame.
    """
    return (AMBIENT + (1.0 - AMBIENT) * np.clip(normals @ LIGHT, 0.0, 1.0)).astype(np.float32)


def linear_from_srgb(colors: np.ndarray) -> np.ndarray:
    """Return colours in linear light (IEC 61966-2-1).

    Args:
        colors: any shape, sRGB in [0, 1].
    """
    colors = np.clip(np.asarray(colors, np.float64), 0.0, 1.0)
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)

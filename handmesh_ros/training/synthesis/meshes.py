"""Triangle meshes of the renderer and the simple shapes that sleeves and occluders are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PLAIN = -1
"""Texture layer of a mesh that shows its vertex colours only."""

OCCLUDER_ID = 255
"""Instance number of everything that covers a hand and is no hand."""


@dataclass
class Mesh:
    """One mesh in the camera frame, ready to draw.

    Attributes:
        vertices: (V, 3) float, metres, camera frame.
        faces: (F, 3) int, counter-clockwise seen from outside.
        colors: (V, 3) float linear RGB, multiplied with the texture where there is one.
        instance: number in the mask: 1..N for hands, `OCCLUDER_ID` for everything else.
        uv: (V, 2) float texture coordinates or None.
        layer: texture layer of the renderer, or `PLAIN`.
        gloss: strength of the specular highlight, 0..1.
        skin: 1 where light scatters under the surface as in skin, 0 elsewhere.
        normals: (V, 3) unit normals, or None where those of the triangles will do.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray
    instance: int
    uv: np.ndarray | None = None
    layer: int = PLAIN
    gloss: float = 0.2
    skin: float = 0.0
    normals: np.ndarray | None = None

    def normals_or_computed(self) -> np.ndarray:
        """Return (V, 3) unit normals: the given ones, else those of the vertices and faces."""
        return vertex_normals(self.vertices, self.faces) if self.normals is None else self.normals


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return (V, 3) area-weighted unit normals of (V, 3) vertices and (F, 3) faces."""
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    index = faces.ravel()
    normals = np.stack(
        [
            np.bincount(index, np.repeat(face_normals[:, axis], 3), len(vertices))
            for axis in range(3)
        ],
        axis=-1,
    )
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)


def tube(
    points: np.ndarray, radii: np.ndarray, sides: int = 14
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a closed tube along a curve: vertices, faces and texture coordinates.

    Args:
        points: (P, 3) centres, metres.
        radii: (P,) or (P, 2) radii across the curve, metres; the ends are closed flat.
        sides: corners of every ring.
    """
    radii = np.broadcast_to(np.reshape(radii, (len(points), -1)), (len(points), 2))
    tangents = np.gradient(points, axis=0)
    tangents /= np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-9)
    helper = np.eye(3)[np.argmin(np.abs(tangents[0]))]
    across = np.cross(tangents, helper)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    along = np.cross(tangents, across)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = (
        np.cos(angle)[None, :, None] * (across * radii[:, :1])[:, None]
        + np.sin(angle)[None, :, None] * (along * radii[:, 1:])[:, None]
    )
    vertices = (points[:, None] + ring).reshape(-1, 3)
    faces = tube_faces(len(points), sides)
    first, last = len(vertices), len(vertices) + 1
    vertices = np.concatenate([vertices, points[:1], points[-1:]])
    corner = np.arange(sides)
    following = (corner + 1) % sides
    base = (len(points) - 1) * sides
    caps = [
        np.stack([np.full(sides, first), following, corner], -1),
        np.stack([np.full(sides, last), base + corner, base + following], -1),
    ]
    steps = np.linspace(0, 1, len(points))
    uv = np.stack(
        np.broadcast_arrays(np.abs(angle / np.pi - 1.0)[None, :], steps[:, None]), -1
    ).reshape(-1, 2)
    uv = np.concatenate([uv, [[0.5, 0.0], [0.5, 1.0]]])
    return vertices, np.concatenate([faces, *caps]), uv


def tube_faces(rings: int, sides: int) -> np.ndarray:
    """Return (F, 3) triangles between successive rings of `sides` corners, open at both ends.

    Seen along the tube from its first ring, the corners go round counter-clockwise.
    """
    row, column = np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing="ij")
    a, b = row * sides + column, row * sides + (column + 1) % sides
    c, d = a + sides, b + sides
    return np.concatenate(
        [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)]
    )


def box(size: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a box of (3,) edge lengths around the origin, every side with its own corners."""
    vertices: list[np.ndarray] = []
    faces: list[list[int]] = []
    uv: list[np.ndarray] = []
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    for axis in range(3):
        for sign in (-1.0, 1.0):
            corners = np.empty((4, 3))
            corners[:, axis] = sign
            corners[:, (axis + 1) % 3] = square[:, 0] * sign
            corners[:, (axis + 2) % 3] = square[:, 1]
            start = 4 * len(vertices)
            vertices.append(corners * size / 2)
            faces += [[start, start + 1, start + 2], [start, start + 2, start + 3]]
            uv.append(square * 0.5 + 0.5)
    return np.concatenate(vertices), np.array(faces), np.concatenate(uv)


def ellipsoid(
    radii: np.ndarray, rows: int = 10, sides: int = 16
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an ellipsoid of (3,) radii around the origin."""
    polar = np.linspace(0.02, np.pi - 0.02, rows)
    points = np.stack([np.zeros(rows), np.zeros(rows), -np.cos(polar)], -1)
    vertices, faces, uv = tube(points, np.sin(polar), sides)
    return vertices * radii, faces, uv


def faceted(
    vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mesh with separate corners for every triangle, so that its edges are sharp."""
    index = faces.ravel()
    return vertices[index], np.arange(len(index)).reshape(-1, 3), uv[index]

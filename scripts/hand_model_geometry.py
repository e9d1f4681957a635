"""Geometry and statistics behind `build_hand_model.py`: numpy only, no hand conventions."""

from __future__ import annotations

import fast_simplification
import numpy as np


def normalise(vectors: np.ndarray) -> np.ndarray:
    """Return unit vectors."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def rotation_between(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return (N, 3, 3) smallest rotations from (N, 3) unit vectors to another (Rodrigues)."""
    axis = np.cross(source, target)
    cosine = (source * target).sum(-1)[:, None, None]
    cross = np.zeros((len(axis), 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]] = axis
    cross[:, [1, 2, 0], [2, 0, 1]] = -axis
    return np.eye(3) + cross + cross @ cross / (1.0 + cosine)


def blend_transforms(
    vertices: np.ndarray, weights: np.ndarray, rotations: np.ndarray, shifts: np.ndarray
) -> np.ndarray:
    """Return (N, V, 3) vertices moved by weighted (N, J, 3, 3) rotations and (N, J, 3) shifts."""
    blended = np.zeros_like(vertices)
    for joint, column in enumerate(weights.T):
        rows = np.flatnonzero(column)
        turned = vertices[:, rows] @ rotations[:, joint].transpose(0, 2, 1)
        blended[:, rows] += column[rows, None] * (turned + shifts[:, joint, None])
    return blended


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return (V, 3) unit normals weighted by face area."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    normals = np.zeros_like(vertices)
    for corner in faces.T:
        np.add.at(normals, corner, np.cross(b - a, c - a))
    return normalise(normals)


def closest_on_mesh(
    points: np.ndarray, vertices: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return per point the face's vertex indices (P, 3) and barycentric coordinates (P, 3)."""
    corner = vertices[faces[:, 0]]
    edge_1, edge_2 = vertices[faces[:, 1]] - corner, vertices[faces[:, 2]] - corner
    a, b, c = (edge_1**2).sum(1), (edge_1 * edge_2).sum(1), (edge_2**2).sum(1)
    chosen, coordinates = [], []
    for point in points:
        offset = point - corner
        d, e = (edge_1 * offset).sum(1), (edge_2 * offset).sum(1)
        determinant = np.maximum(a * c - b * b, 1e-30)
        s, t = (c * d - b * e) / determinant, (a * e - b * d) / determinant
        inside = (s >= 0) & (t >= 0) & (s + t <= 1)
        along_1, along_2 = (d / a).clip(0, 1), (e / c).clip(0, 1)
        along_3 = ((e - d + a - b) / (a - 2 * b + c)).clip(0, 1)
        candidates = (
            (np.where(inside, s, 0), np.where(inside, t, 0)),
            (along_1, 0 * along_1),
            (0 * along_2, along_2),
            (1 - along_3, along_3),
        )
        options = np.stack([np.stack(pair, axis=1) for pair in candidates])
        placed = corner + options[..., :1] * edge_1 + options[..., 1:] * edge_2
        distance = ((placed - point) ** 2).sum(-1)
        kind, face = np.unravel_index(np.argmin(distance), distance.shape)
        u, v = options[kind, face]
        chosen.append(faces[face])
        coordinates.append((1 - u - v, u, v))
    return np.array(chosen), np.array(coordinates)


def decimate(
    vertices: np.ndarray, faces: np.ndarray, vertex_count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return points and faces of a version with `vertex_count` vertices (quadric errors)."""
    for face_count in range(2 * vertex_count - 24, 2 * vertex_count - 8):
        points, triangles = fast_simplification.simplify(
            vertices.astype(np.float32), faces.astype(np.int32), target_count=face_count
        )
        if len(points) == vertex_count:
            return points.astype(np.float64), triangles
    raise SystemExit(f"no decimation gave {vertex_count} vertices")


def principal_shapes(
    hands: np.ndarray, others: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return mean (V, 3) and (V, 3, `count`) directions of hands, then the same for others.

    Directions are per standard deviation and lengthen the hand when positive; `others` (N, P, 3)
    are regressed linearly on the hands' scores.
    """
    mean = hands.mean(0)
    centred = (hands - mean).reshape(len(hands), -1)
    _, singular, right = np.linalg.svd(centred, full_matrices=False)
    deviation = singular[:count] / np.sqrt(len(hands) - 1)
    directions = right[:count] * deviation[:, None]
    longer = directions.reshape(count, -1, 3)[:, np.argmin(mean[:, 0]), 0] < 0
    directions *= np.where(longer, 1.0, -1.0)[:, None]
    scores = centred @ (directions / deviation[:, None] ** 2).T
    explained = (singular[:count] ** 2).sum() / (singular**2).sum()
    residual = centred - scores @ directions
    error = np.linalg.norm(residual.reshape(len(hands), -1, 3), axis=-1).mean()
    print(f"{count} directions explain {explained:.2%}, mean error {1e3 * error:.3f} mm")
    design = np.concatenate([np.ones((len(scores), 1)), scores], axis=1)
    solution = np.linalg.lstsq(design, others.reshape(len(others), -1), rcond=None)[0]
    error = np.linalg.norm((design @ solution).reshape(others.shape) - others, axis=-1).mean(0)
    print(f"joints regress within {1e3 * error[:16].max():.2f} mm (mean of the worst)")
    solution = solution.reshape(1 + count, -1, 3)
    shapes = directions.reshape(count, -1, 3).transpose(1, 2, 0)
    return mean, shapes, solution[0], solution[1:].transpose(1, 2, 0)


def joint_regressor(
    template: np.ndarray,
    shape_dirs: np.ndarray,
    joint_template: np.ndarray,
    joint_shape_dirs: np.ndarray,
) -> np.ndarray:
    """Return (16, V) rows that sum to one and reproduce the joints from 80 nearby vertices."""
    regressor = np.zeros((len(joint_template), len(template)))
    for joint, centre in enumerate(joint_template):
        near = np.argsort(np.linalg.norm(template - centre, axis=1))[:80]
        known = np.concatenate([template[near, :, None], shape_dirs[near]], axis=2)
        design = np.concatenate([known.reshape(len(near), -1), np.ones((len(near), 1))], axis=1)
        target = np.append(np.column_stack([centre, joint_shape_dirs[joint]]).ravel(), 1.0)
        start = np.full(len(near), 1.0 / len(near))
        gram = design.T @ design + 1e-8 * np.eye(design.shape[1])
        regressor[joint, near] = start + design @ np.linalg.solve(gram, target - start @ design)
    return regressor


def flatten_end(template: np.ndarray, shape_dirs: np.ndarray, ring: np.ndarray) -> None:
    """Move the ring of vertices at the forearm's end onto one plane across it, in place."""
    along = normalise(template[ring].mean(0))
    for points in (template[..., None], shape_dirs):
        height = np.einsum("vck,c->vk", points[ring], along)
        points[ring] += along[None, :, None] * (height.mean(0) - height)[:, None]


def sparsest(weights: np.ndarray, most: int = 4) -> np.ndarray:
    """Return weights with at most `most` joints per vertex, summing to one."""
    kept = np.where(weights >= np.sort(weights, axis=1)[:, -most, None], weights, 0.0)
    kept = np.where(kept < 0.01, 0.0, kept)
    return kept / kept.sum(1, keepdims=True)


def choose_normal(
    values: np.ndarray, mean: float, deviation: float, generator: np.random.Generator, count: int
) -> np.ndarray:
    """Return `count` indices whose values follow a normal distribution cut at three deviations."""
    density, edges = np.histogram(values, bins=40, density=True)
    here = density[np.clip(np.digitize(values, edges) - 1, 0, 39)]
    z = (values - mean) / deviation
    weight = np.where(np.abs(z) < 3, np.exp(-0.5 * z * z), 0.0) / np.maximum(here, 1e-6)
    return generator.choice(len(values), count, replace=False, p=weight / weight.sum())

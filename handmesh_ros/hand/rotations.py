"""Rotations in batches: matrices, unit quaternions (x, y, z, w as in ROS), rotation vectors.

Products and conversions are linear in products of the entries, so each is one multiplication by a
constant table: a few NumPy calls for any number of rotations.
"""

from __future__ import annotations

import numpy as np


def _product_table() -> np.ndarray:
    """Return (16, 4): entries a_i b_j, row 4 i + j, to those of the Hamilton product a b."""
    x, y, z, w = range(4)
    terms = {
        x: ((w, x, 1), (x, w, 1), (y, z, 1), (z, y, -1)),
        y: ((w, y, 1), (y, w, 1), (z, x, 1), (x, z, -1)),
        z: ((w, z, 1), (z, w, 1), (x, y, 1), (y, x, -1)),
        w: ((w, w, 1), (x, x, -1), (y, y, -1), (z, z, -1)),
    }
    table = np.zeros((4, 4, 4))
    for result, products in terms.items():
        for first, second, sign in products:
            table[first, second, result] = sign
    return table.reshape(16, 4)


def _matrix_table() -> np.ndarray:
    """Return (16, 9): entries q_i q_j to those of the matrix that rotates v to q v q⁻¹."""
    product = _product_table().reshape(4, 4, 4)
    conjugate = np.diag([-1.0, -1.0, -1.0, 1.0])
    # Sum over a, b, c: q_a v_b → product e; e (conjugate of q)_c → result r.
    table = np.einsum("abe,ecr,dc->adrb", product[:, :3], product, conjugate)
    return table[:, :, :3].reshape(16, 9)


def _candidate_table() -> np.ndarray:
    """Return (9, 16): entries of a matrix to those of 4 q qᵀ, without its constant part."""
    table = np.zeros((3, 3, 4, 4))
    for axis in range(3):
        signs = np.full(4, -1.0)
        signs[[axis, 3]] = 1.0
        table[axis, axis] = np.diag(signs)
        after, last = (axis + 1) % 3, (axis + 2) % 3
        for row, column in ((axis, after), (after, axis)):
            table[row, column, axis, after] = table[row, column, after, axis] = 1.0
        for row, column, sign in ((last, after, 1.0), (after, last, -1.0)):
            table[row, column, axis, 3] = table[row, column, 3, axis] = sign
    return table.reshape(9, 16)


_PRODUCT, _MATRIX, _CANDIDATES = _product_table(), _matrix_table(), _candidate_table()
_UNIT_CANDIDATES = np.eye(4).ravel()


def quaternions(rotations: np.ndarray) -> np.ndarray:
    """Return unit quaternions, w not negative.

    Of the four possible formulas each rotation takes the one with the largest divisor
    (Shepperd, Quaternion from Rotation Matrix, 1978).

    Args:
        rotations: (..., 3, 3) rotation matrices.

    Returns:
        (..., 4) x, y, z, w.
    """
    leading = np.shape(rotations)[:-2]
    entries = np.asarray(rotations, dtype=np.float64).reshape(-1, 9)
    # Row i of each candidate is 4 q_i · (x, y, z, w).
    candidates = (entries @ _CANDIDATES + _UNIT_CANDIDATES).reshape(-1, 4, 4)
    best = candidates.reshape(-1, 16)[:, ::5].argmax(-1)
    chosen = candidates[np.arange(len(best)), best]
    scale = np.copysign(1.0, chosen[:, 3:]) / _norm(chosen)
    return (chosen * scale).reshape(*leading, 4)


def matrices(quaternion: np.ndarray) -> np.ndarray:
    """Return (..., 3, 3) rotation matrices of (..., 4) unit quaternions x, y, z, w."""
    flat = np.asarray(quaternion, dtype=np.float64).reshape(-1, 4)
    products = (flat[:, :, None] * flat[:, None]).reshape(-1, 16)
    return (products @ _MATRIX).reshape(*np.shape(quaternion)[:-1], 3, 3)


def multiply(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the (..., 4) quaternions of the rotations `first @ second`.

    Args:
        first: (..., 4) x, y, z, w.
        second: (..., 4) x, y, z, w.
    """
    products = first[..., :, None] * second[..., None, :]
    return (products.reshape(-1, 16) @ _PRODUCT).reshape(products.shape[:-1])


def inverse(quaternion: np.ndarray) -> np.ndarray:
    """Return the (..., 4) unit quaternions that turn back."""
    return quaternion * _CONJUGATE


def rotation_vectors(quaternion: np.ndarray) -> np.ndarray:
    """Return (..., 3) axis times angle, radians, angles in [0, pi], of (..., 4) unit quaternions.

    This is the logarithm of SO(3); near the identity its limit is used.
    """
    vector = quaternion[..., :3]
    sine = np.maximum(_norm(vector), 1e-12)
    half_angle = np.arctan2(sine, np.abs(quaternion[..., 3:]))
    return vector * (np.copysign(2.0, quaternion[..., 3:]) * half_angle / sine)


def from_rotation_vectors(vectors: np.ndarray) -> np.ndarray:
    """Return the (..., 4) unit quaternions of (..., 3) axis times angle, radians.

    This is the exponential map of SO(3), the inverse of `rotation_vectors`.
    """
    half_angle = np.maximum(0.5 * _norm(vectors), 1e-12)
    quaternion = np.empty((*vectors.shape[:-1], 4))
    quaternion[..., :3] = vectors * (0.5 * np.sin(half_angle) / half_angle)
    quaternion[..., 3:] = np.cos(half_angle)
    return quaternion


_CONJUGATE = np.array([-1.0, -1.0, -1.0, 1.0])


def _norm(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]

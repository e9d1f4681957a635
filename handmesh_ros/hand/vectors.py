"""Lengths and cross products of vectors in batches.

NumPy's own `linalg.norm` and `cross` serve every shape and type; for the few vectors of a hand
that costs several times what the arithmetic does. The results are the same to the last bit.
"""

from __future__ import annotations

import numpy as np


def lengths(vectors: np.ndarray, *, keepdims: bool = False) -> np.ndarray:
    """Return the (...) Euclidean lengths of (..., D) vectors.

    Args:
        vectors: (..., D).
        keepdims: return (..., 1).
    """
    return np.sqrt((vectors * vectors).sum(axis=-1, keepdims=keepdims))


def units(vectors: np.ndarray) -> np.ndarray:
    """Return (..., D) vectors of length one; zero where the vector is zero."""
    length = lengths(vectors, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)


def cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the (..., 3) cross products of (..., 3) vectors; leading axes broadcast."""
    forward = first.take(_AFTER, -1) * second.take(_LAST, -1)
    return forward - first.take(_LAST, -1) * second.take(_AFTER, -1)


_AFTER, _LAST = np.array([1, 2, 0]), np.array([2, 0, 1])

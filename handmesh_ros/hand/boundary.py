"""The open end of a hand mesh."""

from __future__ import annotations

import numpy as np

from handmesh_ros.errors import HandmeshError


def boundary_cap(faces: np.ndarray) -> np.ndarray:
    """Return (C, 3) int32 triangles that close a mesh's one boundary loop, wound like its faces.

    Args:
        faces: (F, 3) vertex indices.

    Raises:
        HandmeshError: the mesh does not have exactly one boundary loop.
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).tolist()
    known = {(start, end) for start, end in edges}
    following = {end: start for start, end in known if (end, start) not in known}
    if not following:
        raise HandmeshError("A hand mesh needs an open wrist to be capped; this one is closed.")
    loop = [min(following)]
    while following.get(loop[-1], loop[0]) != loop[0] and len(loop) <= len(following):
        loop.append(following[loop[-1]])
    if len(loop) != len(following):
        raise HandmeshError("A hand mesh needs one boundary loop to be capped; this one has more.")
    strip: list[tuple[int, int, int]] = []
    low, high = 0, len(loop) - 1
    while high - low > 1:
        if len(strip) % 2 == 0:
            strip.append((loop[low], loop[low + 1], loop[high]))
            low += 1
        else:
            strip.append((loop[low], loop[high - 1], loop[high]))
            high -= 1
    return np.array(strip, dtype=np.int32)

"""Identity between two tables of `handmesh annotate`: a video in segments and in one piece.

    handmesh annotate clip.mp4 --output whole --segment-seconds 100000
    handmesh annotate clip.mp4 --output parts --segment-seconds 10
    python -m benchmarks.segments whole/hands/*.parquet parts/hands/*.parquet

IDF1 (E. Ristani et al.: Performance measures and a data set for multi-target, multi-camera
tracking, 2016) with the first table as truth, boxes from an IoU of 0.5 on.
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pyarrow.parquet as parquet

from handmesh_ros.annotate.joining import box_iou
from handmesh_ros.hand.columns import column_values
from handmesh_ros.tracking.linear_assignment import solve_linear_assignment


def idf1(truth: str, found: str) -> float:
    """Return the identity F1 of the tracks in a file against those in another."""
    sides = [_by_frame(path) for path in (truth, found)]
    together: Counter[tuple[int, int]] = Counter()
    for frame in sides[0].keys() & sides[1].keys():
        for ours, first in sides[0][frame]:
            for theirs, second in sides[1][frame]:
                together[ours, theirs] += box_iou(first, second) >= 0.5
    rows, columns = (sorted({pair[axis] for pair in together}) for axis in (0, 1))
    cost = -np.array([[together[row, column] for column in columns] for row in rows], float)
    matched = -cost[solve_linear_assignment(cost)].sum()
    total = sum(len(hands) for side in sides for hands in side.values())
    return float(2 * matched / total)


def _by_frame(path: str) -> dict[int, list[tuple[int, np.ndarray]]]:
    table = parquet.read_table(path)
    frames: dict[int, list[tuple[int, np.ndarray]]] = {}
    columns = (column_values(table, name) for name in ("frame", "track_id", "box"))
    for frame, identity, box in zip(*columns, strict=True):
        frames.setdefault(int(frame), []).append((int(identity), box))
    return frames


if __name__ == "__main__":
    print(f"IDF1 {idf1(*sys.argv[1:3]):.4f}")

"""The segments of a video become one table whose hands keep their ids from end to end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handmesh_ros.annotate.plan import MARGIN_S, Segment
from handmesh_ros.common.files import part_of
from handmesh_ros.common.imports import needed_for
from handmesh_ros.hand.columns import column_values
from handmesh_ros.tracking.linear_assignment import solve_linear_assignment

if TYPE_CHECKING:
    import pyarrow

SAME_HAND = 0.5
"""Tracks of two segments are one hand where their boxes share this of their union, on average
over the frames that both have in the margin, and most of the frames of the rarer are shared."""


def match_tracks(before: pyarrow.Table, after: pyarrow.Table) -> dict[int, int]:
    """Return which track of a segment goes on as which of the next.

    Args:
        before, after: rows of both segments in the frames that both have.

    Returns:
        id in `after` → id in `before`.
    """
    first, second = _boxes_of_tracks(before), _boxes_of_tracks(after)
    if not first or not second:
        return {}
    cost = np.ones((len(second), len(first)))
    for row, ours in enumerate(second.values()):
        for column, theirs in enumerate(first.values()):
            shared = ours.keys() & theirs.keys()
            if 2 * len(shared) >= min(len(ours), len(theirs)):
                cost[row, column] = 1.0 - np.mean([box_iou(ours[f], theirs[f]) for f in shared])
    pairs = solve_linear_assignment(cost)
    names, others = list(second), list(first)
    return {
        names[row]: others[column]
        for row, column in zip(*pairs, strict=True)
        if cost[row, column] < 1.0 - SAME_HAND
    }


def join_video(segments: Sequence[Segment], parts: Sequence[Path], target: Path) -> int:
    """Write the table of a video; return its number of rows.

    Each segment gives the rows of its own time. Its ids become those of the tracks of the segment
    before that they go on from, others get new ids from 1 on.

    Args:
        segments: of the video, in order.
        parts: their files; those of segments without hands may be missing.
        target: the file to write.
    """
    with needed_for("`handmesh annotate`", ".[table]"):
        import pyarrow
        import pyarrow.compute as pc
        import pyarrow.parquet as parquet
    partial, writer, rows = part_of(target), None, 0
    names: dict[int, int] = {}
    previous: Any = None
    used = 0
    try:
        for segment, part in zip(segments, parts, strict=True):
            if not part.exists():
                names, previous = {}, None
                continue
            table = parquet.read_table(part)
            time_s = table["time_s"]
            own: dict[int, int] = {}
            if previous is not None:
                begin = segment.begin_s - MARGIN_S
                both = pc.and_(
                    pc.greater_equal(time_s, begin), pc.less(time_s, segment.begin_s + MARGIN_S)
                )
                matched = match_tracks(previous, table.filter(both))
                own = {ours: names[theirs] for ours, theirs in matched.items() if theirs in names}
            inside = pc.and_(
                pc.greater_equal(time_s, segment.begin_s), pc.less(time_s, segment.end_s)
            )
            kept = table.filter(inside)
            ids = column_values(kept, "track_id").tolist()
            for identity in dict.fromkeys(ids):
                if identity not in own:
                    used += 1
                    own[identity] = used
            new = [own[identity] for identity in ids]
            place = kept.schema.get_field_index("track_id")
            field = kept.schema.field(place)
            kept = kept.set_column(place, field, pyarrow.array(new, field.type))
            if writer is None:
                target.parent.mkdir(parents=True, exist_ok=True)
                writer = parquet.ParquetWriter(partial, kept.schema, compression="zstd")
            writer.write_table(kept)
            rows += len(kept)
            late = pc.greater_equal(time_s, segment.end_s - MARGIN_S)
            names, previous = own, table.filter(late).select(["track_id", "frame", "box"])
        if writer is not None:
            writer.close()
            partial.replace(target)
    finally:
        if writer is not None and writer.is_open:
            writer.close()
        partial.unlink(missing_ok=True)
    return rows


def _boxes_of_tracks(table: pyarrow.Table) -> dict[int, dict[int, np.ndarray]]:
    """Return track id → frame → box."""
    tracks: dict[int, dict[int, np.ndarray]] = {}
    ids, frames, boxes = (column_values(table, name) for name in ("track_id", "frame", "box"))
    for identity, frame, box in zip(ids.tolist(), frames.tolist(), boxes, strict=True):
        tracks.setdefault(identity, {})[frame] = box
    return tracks


def box_iou(first: np.ndarray, second: np.ndarray) -> float:
    """Return the share of the union of two boxes (x0, y0, x1, y1) that both cover."""
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    inside = float(np.prod(np.maximum(sides, 0.0)))
    areas = float(np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]))
    return inside / max(areas - inside, 1e-9)

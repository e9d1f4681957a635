"""Ids across segments."""

from __future__ import annotations

import numpy as np

from handmesh_ros.annotate.joining import join_video, match_tracks
from handmesh_ros.annotate.plan import Segment
from handmesh_ros.hand.columns import column_values, make_table

RATE_HZ = 10


def rows(begin_s, end_s, tracks):
    """Return a table: of each track id a function time → middle of its box, None where unseen."""
    import pyarrow

    tables = []
    for frame in range(round(begin_s * RATE_HZ), round(end_s * RATE_HZ)):
        middles = {i: middle(frame / RATE_HZ) for i, middle in tracks.items()}
        seen = {i: x for i, x in middles.items() if x is not None}
        if not seen:
            continue
        boxes = np.array([[x - 20, 0, x + 20, 50] for x in seen.values()], np.float32)
        columns = {"frame": frame, "time_s": frame / RATE_HZ, "track_id": list(seen), "box": boxes}
        tables.append(make_table(columns, len(seen)))
    return pyarrow.concat_tables(tables)


def still(x):
    return lambda time_s: x


def test_tracks_are_matched_by_their_boxes_whatever_their_numbers():
    before = rows(8, 12, {1: still(50), 2: still(150)})
    after = rows(8, 12, {1: still(152), 2: still(51), 3: still(300)})
    assert match_tracks(before, after) == {1: 2, 2: 1}


def test_a_hand_that_is_elsewhere_is_another_one():
    assert match_tracks(rows(8, 12, {1: still(50)}), rows(8, 12, {1: still(85)})) == {}


def test_a_hand_that_crosses_the_bound_keeps_its_id(tmp_path):
    import pyarrow.parquet as parquet

    moving, late = lambda t: 10 * t, lambda t: 400 if t > 21 else None
    segments = [
        Segment(tmp_path / "a.mp4", "a", index, begin, end)
        for index, (begin, end) in enumerate([(0, 10), (10, 20), (20, float("inf"))])
    ]
    parts = [tmp_path / f"{index}.parquet" for index in range(3)]
    parquet.write_table(rows(0, 12, {7: moving}), parts[0])
    parquet.write_table(rows(8, 22, {3: still(300), 4: moving}), parts[1])
    parquet.write_table(rows(18, 30, {1: still(301), 9: moving, 2: late}), parts[2])
    target = tmp_path / "joined.parquet"
    count = join_video(segments, parts, target)
    table = parquet.read_table(target)
    assert count == len(table)
    frames, ids = (column_values(table, name) for name in ("frame", "track_id"))
    assert np.array_equal(frames, np.sort(frames))
    middles = column_values(table, "box")[:, [0, 2]].mean(1)
    is_moving = np.abs(middles - frames / RATE_HZ * 10) < 1
    assert set(ids[is_moving]) == {1} and is_moving.sum() == 300
    assert len(set(ids[(middles > 299) & (middles < 302)])) == 1
    assert len(set(ids)) == 3


def test_a_segment_without_hands_ends_all_tracks(tmp_path):
    import pyarrow.parquet as parquet

    segments = [
        Segment(tmp_path, "a", index, *bounds)
        for index, bounds in enumerate([(0, 10), (10, 20), (20, float("inf"))])
    ]
    parts = [tmp_path / f"{index}.parquet" for index in range(3)]
    for index in (0, 2):
        parquet.write_table(
            rows(20 * (index > 0), 20 * (index > 0) + 5, {1: still(50)}), parts[index]
        )
    join_video(segments, parts, tmp_path / "joined.parquet")
    ids = column_values(parquet.read_table(tmp_path / "joined.parquet"), "track_id")
    assert sorted(set(ids)) == [1, 2]


def test_without_any_hand_there_is_no_table(tmp_path):
    segment = Segment(tmp_path, "a", 0, 0.0, float("inf"))
    assert join_video([segment], [tmp_path / "nothing"], tmp_path / "joined.parquet") == 0
    assert not (tmp_path / "joined.parquet").exists()

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handmesh_ros.cli.results import frame_entry
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.columns import (
    COLUMNS,
    DETECTION_COLUMNS,
    IMAGE_COLUMNS,
    MESH_COLUMNS,
    POSE_COLUMNS,
    column_values,
    make_table,
    table_from_json,
)
from handmesh_ros.hand.hands import Hands
from handmesh_ros.media.videos import MediaFrame
from handmesh_ros.tracking.tracker import TrackedHands

pyarrow = pytest.importorskip("pyarrow", reason="needs the extra [table]")

DOCS = Path(__file__).parents[2] / "docs" / "json.md"
INTRINSICS = np.array([560.0, 560.0, 319.5, 239.5])


def hands_of(count, seed=0, vertices=5):
    """Hands of random numbers."""
    rng = np.random.default_rng(seed)
    fields = {}
    for name, empty in vars(Hands.empty(vertices)).items():
        values = rng.uniform(0, 1, (count, *empty.shape[1:]))
        fields[name] = (values * 3 if name == "scale_source" else values).astype(empty.dtype)
    return Hands(**fields | {"refined": rng.uniform(size=count) < 0.5})


def json_of(*images, with_mesh=False):
    """The JSON of hands, through text as in a file; the second image and on are frames."""
    entries = []
    for index, hands in enumerate(images):
        frame = MediaFrame(np.zeros((480, 640, 3), np.uint8), index or None, index / 30 or None)
        path = Path(f"clip_{index}.mp4")
        entries.append(frame_entry(path, frame, hands, INTRINSICS, with_mesh=with_mesh))
    result = {"format": "handmesh-detections", "version": 1, "images": entries, "errors": []}
    return json.loads(json.dumps(result | ({"faces": []} if with_mesh else {})))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 4), st.integers(0, 99), st.booleans())
def test_a_table_has_the_numbers_of_the_hands(count, seed, with_mesh):
    hands = hands_of(count, seed)
    table = hands.to_table(with_mesh=with_mesh)
    assert table.num_rows == count
    expected = [*DETECTION_COLUMNS, *POSE_COLUMNS, *(MESH_COLUMNS if with_mesh else ())]
    assert table.column_names == [column.name for column in expected]
    for column in expected:
        values = column_values(table, column.name)
        assert len(values) == count and values.ndim == 1 + len(column.shape)
        if hasattr(hands, column.name) and column.type != "string":
            if column.name != "handedness":
                np.testing.assert_array_equal(values, getattr(hands, column.name))
    sides = [("left", "right")[side] for side in hands.handedness]
    assert table["handedness"].to_pylist() == sides


def test_a_table_of_no_hands_joins_one_of_some():
    joined = pyarrow.concat_tables([Hands.empty().to_table(), hands_of(2).to_table()])
    assert joined.num_rows == 2


def test_the_json_s_fields_are_the_columns_in_their_order():
    result = json_of(hands_of(1), hands_of(1), with_mesh=True)
    detection = [column.name for column in DETECTION_COLUMNS]
    assert list(result["images"][1]["hands"][0]) == [*detection, "vertices"]
    image = [column.name for column in IMAGE_COLUMNS]
    assert list(result["images"][1]) == [*image, "hands"]


@pytest.mark.parametrize("with_mesh", [False, True])
def test_a_table_of_a_json_is_the_table_of_its_hands(with_mesh):
    parts = [hands_of(2, 1), hands_of(0), hands_of(3, 2)]
    table = table_from_json(json_of(*parts, with_mesh=with_mesh))
    direct = pyarrow.concat_tables([part.to_table(with_mesh=with_mesh) for part in parts])
    for name in table.column_names:
        if name in direct.column_names:
            assert table.schema.field(name).type == direct.schema.field(name).type
            mine, theirs = column_values(table, name), column_values(direct, name)
            if mine.dtype == np.float32:
                np.testing.assert_allclose(mine, theirs, atol=0.006)
            else:
                np.testing.assert_array_equal(mine, theirs)
    assert table["path"].to_pylist() == ["clip_0.mp4"] * 2 + ["clip_2.mp4"] * 3
    assert table["frame"].to_pylist() == [None, None, 2, 2, 2]
    np.testing.assert_allclose(column_values(table, "intrinsics"), [INTRINSICS] * 5)
    assert column_values(table, "time_s")[0] is None


def test_a_json_without_hands_is_a_table_without_rows():
    for with_mesh in (False, True):
        assert table_from_json(json_of(hands_of(0), with_mesh=with_mesh)).num_rows == 0


def test_tracks_and_images_come_along():
    tracked = TrackedHands.untracked(hands_of(2))
    table = tracked.to_table(frame=7, time_s=0.25, path="clip.mp4", intrinsics=INTRINSICS)
    assert table.column_names[:4] == ["path", "frame", "time_s", "intrinsics"]
    assert table["frame"].to_pylist() == [7, 7]
    assert table["track_id"].to_pylist() == [0, 0]
    assert table["state"].to_pylist() == ["tracked"] * 2
    assert table.schema.metadata[b"format"] == b"handmesh-hands"
    assert json.loads(table.schema.metadata[b"keypoint_names"])[0] == "wrist"


def test_parquet_and_pandas_keep_shapes_and_words(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = hands_of(3).to_table(with_mesh=True)
    parquet.write_table(table, tmp_path / "hands.parquet")
    again = parquet.read_table(tmp_path / "hands.parquet")
    np.testing.assert_array_equal(column_values(again, "joints"), hands_of(3).joints)
    pytest.importorskip("pandas", reason="needs pandas")
    frame = table.to_pandas()
    assert list(frame.columns) == table.column_names and frame.score.dtype == np.float32


def test_what_does_not_fit_is_one_sentence():
    hands = hands_of(2)
    with pytest.raises(HandmeshError, match="no column colour: take one of path, width"):
        hands.to_table(colour="red")
    with pytest.raises(HandmeshError, match="has score already"):
        hands.to_table(score=1.0)
    with pytest.raises(HandmeshError, match="frame has 3 values for 2 hands"):
        hands.to_table(frame=[1, 2, 3])
    with pytest.raises(HandmeshError, match=r"intrinsics .*shape is \(2, 3\).*float64 of shape"):
        hands.to_table(intrinsics=np.zeros((2, 3)))
    with pytest.raises(HandmeshError, match="frame .* cannot be made of these values"):
        hands.to_table(frame="seven")
    with pytest.raises(HandmeshError, match="joints .* cannot be made of these values"):
        make_table({"joints": [[1.0], [1.0, 2.0]]}, 2)
    with pytest.raises(HandmeshError, match="no column shoes, only handedness"):
        column_values(hands.to_table(), "shoes")
    for other in ({}, [], {"format": "coco"}):
        with pytest.raises(HandmeshError, match="handmesh-detections"):
            table_from_json(other)
    for spoiled in ({"images": 5}, {"images": [{"hands": [{}]}]}, {"images": [{"hands": [7]}]}):
        with pytest.raises(HandmeshError, match="not one that `handmesh detect` wrote whole"):
            table_from_json({"format": "handmesh-detections"} | spoiled)


def test_a_missing_pyarrow_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(HandmeshError, match=r"needs the package pyarrow.*\.\[table\]"):
        hands_of(1).to_table()


def test_hands_alone_import_no_pyarrow():
    code = "import sys, handmesh_ros.hand.hands; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_page_has_every_column_and_its_example_runs(tmp_path, monkeypatch):
    text = DOCS.read_text()
    section = text[text.index("## As a table") :]
    rows = re.findall(r"^\| `(\w+)` \| (\w+)((?:\[\w+\])*) \| (.*) \|$", section, re.M)
    assert [row[0] for row in rows] == list(COLUMNS)
    for name, kind, shape, meaning in rows:
        column = COLUMNS[name]
        sizes = [-1 if size.isalpha() else int(size) for size in re.findall(r"\w+", shape)]
        assert (kind, tuple(sizes), meaning) == (column.type, column.shape, column.meaning)
    pytest.importorskip("pandas", reason="needs pandas")
    monkeypatch.chdir(tmp_path)
    Path("hands.json").write_text(json.dumps(json_of(hands_of(3))))
    space = {}
    exec(section.split("```python\n")[1].split("```")[0], space)
    assert space["wrists"].shape[1:] == (3,) and len(space["frame"]) == 3
    assert Path("hands.parquet").stat().st_size

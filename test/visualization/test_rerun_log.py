from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from found_hands import TEMPLATE, flat_hands, found

from handmesh_ros.cli.main import main
from handmesh_ros.common.output_paths import Originals
from handmesh_ros.errors import HandmeshError

pytest.importorskip("rerun", reason="needs rerun-sdk: pip install '.[view]'")
from rerun.chunk import RrdReader

from handmesh_ros.visualization.rerun_log import LIVE, RerunWriter

RIGHT, LEFT = (True, (0.12, 0.05, 0.5)), (False, (-0.12, 0.05, 0.6))


def write(target: Path, *images) -> None:
    with RerunWriter(str(target), Originals([])) as writer:
        for one in images:
            with writer.writing(one.source):
                writer.add(one)


def read(target: Path) -> dict[str, dict[str, list]]:
    """Columns by entity: each a list of (image number, value), in the order of the images."""
    rows: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    for chunk in RrdReader(str(target)).stream():
        batch = chunk.to_record_batch()
        names = batch.schema.names
        times = batch.column("image").to_pylist() if "image" in names else [None] * chunk.num_rows
        for name in set(names) - {"log_time"}:
            for time, value in zip(times, batch.column(name).to_pylist(), strict=True):
                if value is not None:
                    rows[chunk.entity_path][name].append((time, value))
    return {
        entity: {
            name: sorted(column, key=lambda row: row[0] or 0) for name, column in columns.items()
        }
        for entity, columns in rows.items()
    }


@pytest.fixture
def clip(tmp_path) -> Path:
    """A photograph with two hands, then a clip of two frames in which the right one stays."""
    target = tmp_path / "hands.rrd"
    write(
        target,
        found(flat_hands(RIGHT, LEFT)),
        found(flat_hands(RIGHT, LEFT), "c.mp4", index=0, time_s=0.0, track_id=(4, 7)),
        found(flat_hands(RIGHT), "c.mp4", index=1, time_s=0.1, track_id=(4,)),
    )
    return target


def test_meshes_and_skeletons_are_those_of_the_hands(clip):
    rows = read(clip)
    hands = flat_hands(RIGHT, LEFT)
    mesh = rows["/hands/hand_1/mesh"]
    ((image, vertices),) = mesh["Mesh3D:vertex_positions"][:1]
    assert image == 0
    np.testing.assert_allclose(vertices, hands.vertices[1], atol=1e-6)
    ((_, faces),) = mesh["Mesh3D:triangle_indices"][:1]
    assert np.max(faces) == TEMPLATE.vertex_count - 1
    np.testing.assert_array_equal(faces, TEMPLATE.faces_for(0, closed=True))
    ((_, colors),) = mesh["Mesh3D:vertex_colors"][:1]
    assert len(colors) == len(vertices)
    skeleton = rows["/hands/hand_1/skeleton"]
    np.testing.assert_allclose(skeleton["Points3D:positions"][0][1], hands.joints[1], atol=1e-6)
    assert len(skeleton["LineStrips3D:strips"][0][1]) == 20
    (label,) = rows["/hands/id_7/label"]["Points3D:labels"][0][1]
    assert label == "left 0.50 #7"
    assert sorted(image for image, _ in rows["/hands/id_4/mesh"]["Mesh3D:vertex_positions"]) == [
        1,
        2,
    ]


def test_hands_that_are_gone_are_cleared(clip):
    rows = read(clip)
    cleared = {
        entity: [image for image, _ in columns["Clear:is_recursive"]]
        for entity, columns in rows.items()
        if "Clear:is_recursive" in columns
    }
    assert cleared["/hands/hand_0"] == cleared["/hands/hand_1"] == [1]
    assert cleared["/hands/id_7"] == cleared["/camera/image/hands/id_7"] == [2]
    assert "/hands/id_4" not in cleared


def test_camera_image_plots_and_times(clip):
    rows = read(clip)
    camera, image = rows["/camera"], rows["/camera/image"]
    matrix = np.ravel(camera["Pinhole:image_from_camera"][0][1]).reshape(3, 3).T
    np.testing.assert_allclose(matrix[0, 2], 320.0)  # 319.5 between centres of pixels
    jpeg = np.frombuffer(bytes(image["EncodedImage:blob"][0][1][0]), np.uint8)
    assert cv2.imdecode(jpeg, cv2.IMREAD_COLOR).shape == (480, 640, 3)
    assert [value for _, (value,) in rows["/plots/hands"]["Scalars:scalars"]] == [2, 2, 1]
    assert [value for _, (value,) in rows["/plots/latency"]["Scalars:scalars"]] == [12.5] * 3
    score = rows["/plots/score/id_4"]["Scalars:scalars"]
    np.testing.assert_allclose([value for _, (value,) in score], 0.9, atol=1e-6)
    assert len(rows["/plots/hands"]["video_time"]) == 2
    assert [text for _, (text,) in rows["/log"]["TextLog:text"]][-1] == "c.mp4: 1 hand"


def test_the_command_line_of_rerun_verifies_the_file(clip):
    rerun = Path(sys.executable).with_name("rerun")
    if not rerun.is_file():
        pytest.skip("needs the program rerun")
    result = subprocess.run([rerun, "rrd", "verify", clip], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert {entry.kind for entry in RrdReader(str(clip)).recordings()} == {"recording"}
    assert {entry.kind for entry in RrdReader(str(clip)).blueprints()} == {"blueprint"}


def test_an_interrupted_run_leaves_the_older_file(tmp_path):
    target = tmp_path / "hands.rrd"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), RerunWriter(str(target), Originals([])) as writer:
        writer.add(found(flat_hands(RIGHT)))
        raise KeyboardInterrupt
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_what_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(HandmeshError, match="ends in .rrd, or live"):
        RerunWriter(str(tmp_path / "hands.txt"), Originals([]))
    (tmp_path / "folder.rrd").mkdir()
    with pytest.raises(HandmeshError, match="it is a folder"):
        RerunWriter(str(tmp_path / "folder.rrd"), Originals([]))
    (tmp_path / "read.rrd").touch()
    with pytest.raises(HandmeshError, match="overwrite"):
        RerunWriter(str(tmp_path / "read.rrd"), Originals([tmp_path / "read.rrd"]))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if sys.platform.startswith("linux"):
        with pytest.raises(HandmeshError, match="there is no screen"):
            RerunWriter(LIVE, Originals([]))


def test_detect_writes_a_recording(tiny_model, tmp_path):
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.full((60, 80, 3), 128, np.uint8))
    photos = [str(tmp_path / name) for name in ("a.png", "b.png")]
    target = tmp_path / "new" / "found.rrd"
    assert main(["detect", *photos, "--model", str(tiny_model), "--rerun", str(target)]) == 0
    counts = read(target)["/plots/hands"]["Scalars:scalars"]
    assert [(image, count) for image, (count,) in counts] == [(0, 2), (1, 2)]
    assert [path.name for path in target.parent.iterdir()] == ["found.rrd"]

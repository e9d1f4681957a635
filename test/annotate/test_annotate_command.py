"""`handmesh annotate` as its users run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from annotate_clips import write_clip

from handmesh_ros.annotate.plan import find_videos, segments_of
from handmesh_ros.cli.main import main
from handmesh_ros.errors import HandmeshError


def annotate(model, output, *inputs, options=()):
    arguments = ["annotate", *map(str, inputs), "--output", str(output), "--model", str(model)]
    return main([*arguments, "--segment-seconds", "6", "--backend", "onnxruntime", *options])


def table_of(output: Path):
    import pyarrow.parquet as parquet

    (path,) = (output / "hands").glob("*.parquet")
    return parquet.read_table(path)


def test_segments_give_the_tracks_of_the_whole(tiny_model, tmp_path, clip, capsys):
    assert annotate(tiny_model, tmp_path / "out", clip) == 0
    assert "1 videos, 130 frames, 260 hands, 0 errors" in capsys.readouterr().out
    table = table_of(tmp_path / "out")
    assert table["frame"].to_pylist() == [n for n in range(130) for _ in range(2)]
    sides = dict.fromkeys(
        zip(table["track_id"].to_pylist(), table["handedness"].to_pylist(), strict=True)
    )
    assert sorted(sides) == [(1, "right"), (2, "left")] or sorted(sides) == [
        (1, "left"),
        (2, "right"),
    ]
    assert len(list((tmp_path / "out" / "segments").glob("*.json"))) == 4


def test_several_workers_write_the_same(tiny_model, tmp_path, clip):
    assert annotate(tiny_model, tmp_path / "one", clip) == 0
    assert annotate(tiny_model, tmp_path / "two", clip, options=["--workers", "2"]) == 0
    assert table_of(tmp_path / "one").equals(table_of(tmp_path / "two"))


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_without_a_lost_or_doubled_row(tiny_model, tmp_path, clip):
    assert annotate(tiny_model, tmp_path / "whole", clip) == 0
    command = [sys.executable, "-m", "handmesh_ros.cli", "annotate", str(clip), "--output"]
    command += [str(tmp_path / "killed"), "--model", str(tiny_model), "--segment-seconds", "6"]
    command += ["--backend", "onnxruntime"]
    started = time.monotonic()
    subprocess.run(command, capture_output=True)
    whole_s = time.monotonic() - started
    for path in sorted((tmp_path / "killed").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    for share in (0.3, 0.5, 0.7, 0.85, 0.95):
        program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(share * whole_s)
        program.send_signal(signal.SIGKILL)
        program.wait()
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert table_of(tmp_path / "killed").equals(table_of(tmp_path / "whole"))
    assert not list((tmp_path / "killed").rglob(".part.*"))


def test_a_worker_that_dies_is_one_sentence_and_the_rest_stays(
    tiny_model, tmp_path, clip, monkeypatch, capsys
):
    from handmesh_ros.annotate import run

    real = run._work

    def dying(pending, settings, workers):
        yield from real(pending[:1], settings, 1)
        raise HandmeshError("A worker process ended before its time: run the same command again.")

    monkeypatch.setattr(run, "_work", dying)
    assert annotate(tiny_model, tmp_path / "out", clip) == 1
    assert "run the same command again" in capsys.readouterr().err
    monkeypatch.setattr(run, "_work", real)
    assert annotate(tiny_model, tmp_path / "out", clip) == 0
    assert len(table_of(tmp_path / "out")) == 260


def test_what_is_damaged_is_a_row_of_errors_and_the_rest_is_done(
    tiny_model, tmp_path, clip, capsys
):
    import pyarrow.parquet as parquet

    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "broken.mp4").write_bytes(b"not a video")
    (folder / "empty.mp4").write_bytes(b"")
    os.link(clip, folder / "good.mp4")
    assert annotate(tiny_model, tmp_path / "out", folder) == 1
    errors = parquet.read_table(tmp_path / "out" / "errors.parquet").to_pylist()
    assert [Path(row["path"]).name for row in errors] == ["broken.mp4", "empty.mp4"]
    assert all("Cannot read any frame of" in row["error"] for row in errors)
    assert len(table_of(tmp_path / "out")) == 260
    assert "260 hands, 2 errors" in capsys.readouterr().out


def test_other_settings_need_another_output(tiny_model, tmp_path, clip, capsys):
    assert annotate(tiny_model, tmp_path / "out", clip) == 0
    assert annotate(tiny_model, tmp_path / "out", clip, options=["--mesh"]) == 1
    assert "holds a run with other settings" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_one_sentence(tiny_model, tmp_path, clip, capsys):
    (tmp_path / "out").write_text("a file")
    assert annotate(tiny_model, tmp_path / "out", clip) == 1
    assert "Cannot write" in capsys.readouterr().err


def test_inputs_are_files_folders_globs_and_lists(tmp_path):
    first, second = (write_clip(tmp_path / name, 1.0) for name in ("a.mp4", "b.mp4"))
    (tmp_path / "list.txt").write_text("b.mp4\n\na.mp4\n")
    assert find_videos([str(tmp_path / "*.mp4")]) == [first, second]
    assert find_videos([str(tmp_path / "list.txt"), str(first)]) == [second, first]
    for text in ("nothing.mp4", "s3://bucket/a.mp4", str(tmp_path / "*.mov")):
        with pytest.raises(HandmeshError):
            find_videos([text])


def test_segments_cover_a_video_without_gaps(clip):
    segments = segments_of(clip, 6.0)
    assert [segment.index for segment in segments] == [0, 1, 2, 3]
    bounds = [segment.begin_s for segment in segments] + [segments[-1].end_s]
    assert bounds == [0.0, 6.0, 12.0, 18.0, float("inf")]
    assert json.dumps([segment.name for segment in segments]).count(segments[0].key) == 4

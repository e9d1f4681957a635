from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from picture_files import place, show_from, widen, write_video

from handmesh_ros.errors import HandmeshError
from handmesh_ros.media import videos
from handmesh_ros.media.containers import read_container
from handmesh_ros.media.videos import pace_rate, read_video, video_rate


def picture(number=0, size=(64, 96)):
    """Return a frame whose first quarter is bright."""
    image = np.full((*size, 3), 40 + number, np.uint8)
    image[: size[0] // 2, : size[1] // 2] = 220
    return image


@pytest.fixture
def clip(tmp_path):
    return write_video(tmp_path / "clip.mp4", [picture(i) for i in range(20)])


MATRICES = {  # a, b, c, d, what a player makes of the stored picture
    "turned 90": ((0, 1, -1, 0), lambda f: np.rot90(f, -1)),
    "turned 180": ((-1, 0, 0, -1), lambda f: np.rot90(f, 2)),
    "turned 270": ((0, -1, 1, 0), lambda f: np.rot90(f, 1)),
    "mirrored": ((-1, 0, 0, 1), lambda f: f[:, ::-1]),
    "top for bottom": ((1, 0, 0, -1), lambda f: f[::-1]),
    "mirrored, turned 90": ((0, 1, 1, 0), lambda f: f.transpose(1, 0, 2)),
    "mirrored, turned 270": ((0, -1, -1, 0), lambda f: f[::-1, ::-1].transpose(1, 0, 2)),
    "nothing": ((0, 0, 0, 0), lambda f: f),
}


@pytest.mark.parametrize("kind", MATRICES)
def test_display_matrices_come_out_as_a_player_shows_them(clip, kind):
    stored = next(read_video(clip)).image
    matrix, shown = MATRICES[kind]
    place(clip, matrix)
    np.testing.assert_array_equal(next(read_video(clip)).image, shown(stored))


@pytest.mark.parametrize(
    ("across", "down", "shown"), [(4, 3, (64, 128)), (3, 4, (85, 96)), (1, 1, (64, 96))]
)
def test_pixels_that_are_not_square_become_square(clip, across, down, shown):
    widen(clip, across, down)
    assert {frame.image.shape[:2] for frame in read_video(clip)} == {shown}


def test_square_pixels_are_made_before_the_turn(clip):
    widen(clip, 4, 3)
    place(clip, (0, 1, -1, 0))
    assert next(read_video(clip)).image.shape == (128, 64, 3)


def test_a_video_that_was_trimmed_by_an_edit_list_is_whole(clip):
    show_from(clip, 0.4, 0.4)
    frames = list(read_video(clip))
    assert 8 <= len(frames) <= 20 and [f.index for f in frames] == list(range(len(frames)))


@pytest.mark.parametrize(
    ("name", "codec"),
    [("clip.mp4", "mp4v"), ("clip.mov", "mp4v"), ("clip.avi", "MJPG"), ("clip.mkv", "mp4v"),
     ("clip.webm", "VP80")],
)  # fmt: skip
@pytest.mark.parametrize("part", [1.0, 0.6])
def test_files_that_were_cut_short_are_named_and_whole_ones_are_not(tmp_path, name, codec, part):
    path = tmp_path / name
    noise = np.random.default_rng(0).integers(0, 255, (30, 64, 96, 3)).astype(np.uint8)
    write_video(path, list(noise), codec)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    if part == 1.0:
        assert len(list(read_video(path))) == 30 and not read_container(path).is_cut_short
    else:
        with pytest.raises(HandmeshError, match="damaged"):
            list(read_video(path))


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".ts", "MPG2"), (".m2ts", "MPG2"), (".mpg", "MPG1"), (".wmv", "WMV2"), (".flv", "FLV1"),
     (".3gp", "mp4v"), (".avi", "MJPG"), (".mjpeg", "")],
)  # fmt: skip
def test_videos_of_many_containers_are_videos(tmp_path, suffix, codec):
    path, frames = tmp_path / f"clip{suffix}", [picture(i) for i in range(10)]
    if codec:
        write_video(path, frames, codec)
    else:  # as cameras stream it
        path.write_bytes(b"".join(cv2.imencode(".jpg", f)[1].tobytes() for f in frames))
    found = list(read_video(path))
    assert suffix in videos.SUFFIXES and len(found) >= 9
    times = [frame.time_s or 0.0 for frame in found]
    assert times == sorted(times) and times[0] >= 0.0


@pytest.mark.parametrize("name", ["12:30:05.mp4", "a b#?%.mp4", "http:x.mp4", "-.mp4"])
def test_names_that_look_like_something_else(tmp_path, name, monkeypatch, clip):
    monkeypatch.chdir(tmp_path)
    clip.rename(tmp_path / name)
    assert len(list(read_video(Path(name)))) == 20


DAMAGED = [
    b"",
    bytes(100),
    b"\0\0\0\x18ftypmp42" + b"\xff" * 200,
    b"\0\0\0\x01ftyp" + b"\xff" * 200,
    b"RIFF\xff\xff\xff\xffAVI ",
    b"\x1a\x45\xdf\xa3" + b"\xff" * 20,
    b"\x1a\x45\xdf\xa3\0" + b"\xff" * 20,
]


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_files_are_one_sentence(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    read_container(path)
    with pytest.raises(HandmeshError, match="Cannot read any frame"):
        list(read_video(path))


def test_boxes_in_circles_and_depth_end(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\0\0\0\x10ftypmp42\0\0\0\0" + b"\0\0\0\0moov" * 50_000)
    start = time.monotonic()
    read_container(path)
    assert time.monotonic() - start < 5


class Times:
    """Stands in for a video: given times, and what it says of its rate."""

    def __init__(self, times_s, rate):
        self._times_s, self._rate, self._next = times_s, rate, -1

    def get(self, what):
        known = {cv2.CAP_PROP_FPS: self._rate}
        if what == cv2.CAP_PROP_POS_MSEC:
            return 1000.0 * self._times_s[self._next]
        return known.get(what, 0.0)

    def set(self, what, value):
        pass

    def grab(self):
        self._next += 1
        return self._next < len(self._times_s)

    def release(self):
        pass


@pytest.mark.parametrize(
    ("times_s", "shown_s"),
    [
        ([0.0, 0.1, 0.2, 0.0, 0.1], [0.0, 0.1, 0.2, 0.3, 0.4]),  # two files joined
        ([0.0, 0.1, -5.0, np.nan], [0.0, 0.1, 0.2, 0.2]),
        ([3.0, 3.1], [3.0, 3.1]),
    ],
)
def test_time_never_runs_backwards(times_s, shown_s):
    capture = Times(times_s, 10.0)
    clock = videos._Clock(capture)
    found = []
    for index in range(len(times_s)):
        capture.grab()
        found.append(clock.time_s(index))
    np.testing.assert_allclose(found, shown_s, atol=1e-9)


@pytest.mark.parametrize(
    ("rate", "step_s", "real"),
    [(30.0, 1 / 30, 30.0), (1000.0, 1 / 24, 24.0), (0.0, 0.04, 25.0), (np.nan, 0.0, 30.0)],
)
def test_a_rate_that_a_container_only_pretends(monkeypatch, rate, step_s, real):
    times_s = list(step_s * np.arange(40))
    monkeypatch.setattr(cv2, "VideoCapture", lambda path: Times(times_s, rate))
    assert video_rate(Path("clip.webm")) == pytest.approx(real)


@pytest.mark.parametrize(
    ("rate", "steps_s", "drawn"),
    [
        (30.0, [1 / 30] * 60, 30.0),
        (30.0, [0.033, 0.034] * 30, 30.0),  # whole milliseconds
        (30.0, [0.02, 0.0467] * 30, 50.0),
        (24.0, [1 / 60] * 60 + [1 / 15] * 60, 60.0),  # half at 60, half at 15 images a second
        (30.0, [1 / 30] * 200 + [0.001], 30.0),  # one frame out of place
        (30.0, [0.001] * 60, 120.0),
        (30.0, [], 30.0),
    ],
)
def test_a_drawn_video_has_a_place_for_every_frame(monkeypatch, rate, steps_s, drawn):
    times_s = [0.0, *np.cumsum(steps_s)]
    monkeypatch.setattr(cv2, "VideoCapture", lambda path: Times(times_s, rate))
    assert pace_rate(Path("clip.mp4")) == pytest.approx(drawn, rel=1e-3)


def test_frames_of_a_varying_rate_are_drawn_at_their_times(tmp_path, monkeypatch):
    from handmesh_ros.cli import results
    from handmesh_ros.common.output_paths import Originals
    from handmesh_ros.media.sources import Source

    times_s = [*np.arange(12) / 60, *(0.2 + np.arange(6) / 15)]
    monkeypatch.setattr(results, "pace_rate", lambda path: 60.0)
    writer = results.DrawingWriter(tmp_path, Originals([]))
    with writer.drawing(Source(tmp_path / "clip.mov", Path("clip.mov"))):
        for number, time_s in enumerate(times_s):
            writer.add(np.full((48, 64, 3), 14 * number, np.uint8), time_s)
    shown = {}
    for frame in read_video(tmp_path / "clip.mp4"):
        shown.setdefault(round(frame.image.mean() / 14), frame.time_s)
    assert list(shown) == list(range(18))  # none is left out
    np.testing.assert_allclose(list(shown.values()), times_s, atol=0.5 / 60)


def test_frames_beyond_the_limit_are_refused(clip):
    with pytest.raises(HandmeshError, match="96 × 64 pixels, more than the limit of 6000"):
        list(read_video(clip, max_pixels=6000))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_video_and_no_json(tiny_model, tmp_path, number):
    long = write_video(tmp_path / "long.mp4", [picture(i % 100) for i in range(3000)])
    out = tmp_path / "out"
    command = [sys.executable, "-m", "handmesh_ros.cli.main", "detect", str(long), "--model"]
    command += [str(tiny_model), "--draw", str(out), "--json", str(tmp_path / "found.json")]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(out.glob(".part.*")) and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(number)
    said = run.communicate(timeout=60)[1]
    assert run.returncode == 130 and said.strip().endswith("handmesh: interrupted"), said
    assert os.listdir(out) == [] and not list(tmp_path.glob("*.json"))
    assert not list(tmp_path.glob(".handmesh*"))


def test_drawn_videos_keep_shape_and_time(tiny_model, tmp_path, clip):
    from handmesh_ros.cli.main import main

    widen(clip, 4, 3)
    place(clip, (0, 1, -1, 0))
    target, out = tmp_path / "found.json", tmp_path / "out"
    assert main(["detect", str(clip), "--model", str(tiny_model), "--json", str(target),
                 "--draw", str(out)]) == 0  # fmt: skip
    images = json.loads(target.read_text())["images"]
    assert {(image["width"], image["height"]) for image in images} == {(64, 128)}
    drawn = list(read_video(out / "clip.mp4"))
    assert len(drawn) == 20 and drawn[0].image.shape == (128, 64, 3)
    assert drawn[-1].time_s == pytest.approx(images[-1]["time_s"], abs=0.01)

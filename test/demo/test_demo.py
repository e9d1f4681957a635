"""`make demo` in small: three processes over real DDS, with the tiny network."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")
rosbags = pytest.importorskip("rosbags.highlevel", reason="needs rosbags: run `make test`")

pytestmark = [pytest.mark.ros, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]


def run_demo(source: Path, model: Path, out: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "examples.demo", "--source", str(source), *options]
    return subprocess.run(
        [*command, "--model", str(model), "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 30.0, (320, 240))
    for number in range(45):
        video.write(np.full((240, 320, 3), 60 + number, np.uint8))
    video.release()
    return path


def test_a_video_gives_a_summary_a_drawn_video_and_a_bag(clip, tiny_model, tmp_path):
    camera = {"fx": 300, "fy": 300, "cx": 159.5, "cy": 119.5, "width": 320, "height": 240}
    clip.with_suffix(".json").write_text(json.dumps(camera))
    ended = run_demo(clip, tiny_model, tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    assert "p95" in ended.stdout
    assert "No camera_info" not in ended.stderr
    video = cv2.VideoCapture(str(tmp_path / "out" / "overlay.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) > 10
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count('<script type="text/plain" id="picture-') > 1
    with rosbags.AnyReader([tmp_path / "out" / "bag"]) as bag:
        counts = {connection.topic: connection.msgcount for connection in bag.connections}
        assert counts["/demo/hands"] > 10
        assert counts["/demo/image/compressed"] > 10
        assert counts["/demo/topology"] == 1
        connections = [c for c in bag.connections if c.topic == "/demo/hands"]
        connection, _, data = next(bag.messages(connections))
        message = bag.deserialize(data, connection.msgtype)
    assert message.calibrated and len(message.hands) == 2


def test_a_photo_gives_a_drawn_picture(tiny_model, tmp_path):
    photo = tmp_path / "photo.png"
    photo.with_suffix(".json").write_text('{"labels": []}')  # no calibration, none of our business
    cv2.imwrite(str(photo), np.full((240, 320, 3), 90, np.uint8))
    ended = run_demo(photo, tiny_model, tmp_path / "out", "--seconds", "1")
    assert ended.returncode == 0, ended.stderr
    drawn = cv2.imread(str(tmp_path / "out" / "overlay_000.png"))
    assert np.ptp(drawn) > 50


def test_a_folder_of_photos_of_several_sizes_gives_drawn_pictures(tiny_model, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, size in enumerate([(240, 320), (320, 240), (200, 300)]):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((*size, 3), 90 + number, np.uint8))
    ended = run_demo(folder, tiny_model, tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    drawn = sorted((tmp_path / "out").glob("overlay_*.png"))
    assert len(drawn) == 3
    assert cv2.imread(str(drawn[1])).shape[:2] == (320, 240)
    assert ended.stderr.count("WARN") <= 1


def test_a_folder_of_photos_and_videos_is_played_and_drawn_whole(clip, tiny_model, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    clip.rename(folder / "a.mp4")
    cv2.imwrite(str(folder / "b.png"), np.full((320, 240, 3), 230, np.uint8))
    ended = run_demo(folder, tiny_model, tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    assert "1 photo for 1 s each and 1 video; hands are not followed" in ended.stdout
    video = cv2.VideoCapture(str(tmp_path / "out" / "overlay.mp4"))
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    assert {frame.shape for frame in frames} == {(240, 320, 3)}
    assert frames[0][:, -5].min() > 30, "the clip fills its frames"
    assert frames[-1][:, -5].max() < 20 < 200 < frames[-1][5, 5].min(), "the photo has a bar"


def test_no_hands_is_a_failure(tiny_model, tmp_path):
    photo = tmp_path / "black.png"
    cv2.imwrite(str(photo), np.zeros((240, 320, 3), np.uint8))
    ended = run_demo(photo, tiny_model, tmp_path / "out", "--seconds", "1")
    assert ended.returncode == 1
    assert "no hands came through" in ended.stderr


def test_a_source_that_is_not_there_is_one_sentence(tiny_model, tmp_path):
    ended = run_demo(tmp_path / "nothing.mp4", tiny_model, tmp_path / "out")
    assert ended.returncode == 1
    assert len(ended.stderr.strip().splitlines()) == 1


def test_a_source_that_is_no_picture_is_refused_before_anything_starts(tiny_model, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    ended = run_demo(text, tiny_model, tmp_path / "out")
    assert ended.returncode == 1
    assert "Cannot decode" in ended.stderr and "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_files_is_not_touched(tiny_model, tmp_path):
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "thesis.txt").write_text("words")
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.full((48, 64, 3), 90, np.uint8))
    ended = run_demo(photo, tiny_model, folder, "--seconds", "1")
    assert ended.returncode == 1 and "holds other files (thesis.txt)" in ended.stderr
    assert (folder / "thesis.txt").read_text() == "words"


def test_a_run_that_does_not_start_leaves_the_last_results(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "overlay_000.png").write_text("a picture")
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.full((48, 64, 3), 90, np.uint8))
    ended = run_demo(photo, tmp_path / "nothere.onnx", folder, "--seconds", "1")
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert (folder / "overlay_000.png").read_text() == "a picture"


def test_only_hands_that_are_seen_are_counted():
    from rclpy.serialization import serialize_message

    from examples.demo.listener import Listener
    from handmesh_ros.msg import HandMesh, HandMeshArray

    context = rclpy.Context()
    rclpy.init(context=context)
    listener = Listener(context=context)
    try:
        states = (HandMesh.TRACKED, HandMesh.PREDICTED, HandMesh.LOST)
        message = HandMeshArray(hands=[HandMesh(state=state) for state in states])
        for hand in message.hands:
            hand.joints = [0.0] * 63
        listener._on_hands(serialize_message(message))
        assert listener.recording.hand_count == 1
        assert "| 1 hand: " in listener.recording.status()
        assert listener.recording.status().endswith("| 1 predicted")
    finally:
        listener.destroy_node()
        rclpy.shutdown(context=context)


@pytest.mark.parametrize("seconds", ["abc", "0", "-1", "inf"])
def test_a_time_that_is_none_is_refused(tiny_model, tmp_path, seconds):
    ended = run_demo(tmp_path, tiny_model, tmp_path / "out", "--seconds", seconds)
    assert ended.returncode == 2
    assert f"argument --seconds: '{seconds}' is not a number of at least 0.1" in ended.stderr


@pytest.mark.parametrize(
    ("module", "line"), [("examples.demo", "demo: interrupted\n"), ("examples.demo.camera", "")]
)
def test_ctrl_c_while_packages_are_imported_is_no_traceback(module, line):
    code = (
        "import importlib.abc, runpy, sys\n"
        "class Interrupted(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'rclpy': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        f"runpy.run_module({module!r}, run_name='__main__')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stderr) == (130, line)

from __future__ import annotations

import argparse
import json
import sys
import textwrap

import cv2
import numpy as np
import pytest

from handmesh_ros.bench.contestant import Contestant
from handmesh_ros.bench.plot import draw_plot
from handmesh_ros.bench.scenes import clip_scene, video_scene
from handmesh_ros.bench.worker import Worker
from handmesh_ros.cli.main import main
from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.estimator import Estimator

ECHO = """
    import json, sys
    print(json.dumps({"model_id": "echo", "backend": "none"}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("fail"):
            sys.exit("out of luck")
        print(json.dumps({"hands": 1, "total_ms": 2.0, "cpu_ms": 1.0}), flush=True)
"""


def script(tmp_path, text=ECHO):
    path = tmp_path / "contestant.py"
    path.write_text(textwrap.dedent(text))
    return [sys.executable, str(path)]


def test_models_and_strangers_side_by_side(tiny_model, tmp_path, capsys, monkeypatch):
    from handmesh_ros.cli import bench as command

    commands = command._commands
    stranger = ("Stranger", script(tmp_path))
    monkeypatch.setattr(command, "_commands", lambda args: [*commands(args), stranger])
    target, plot = tmp_path / "bench.json", tmp_path / "bench.png"
    arguments = ["bench", str(tiny_model), "none.onnx", "--backends", "onnxruntime"]
    arguments += ["--repeat", "3"]
    arguments += ["--hands", "1,2", "--sizes", "320x240,640x480", "--json", str(target)]
    assert main([*arguments, "--plot", str(plot)]) == 0
    captured = capsys.readouterr()
    assert "There is no model at none.onnx" in captured.err
    assert "320x240, 1 hand:" in captured.out and "640x480, 1 hand:" in captured.out
    ours, other = json.loads(target.read_text())["results"]
    assert ours["model_id"] == "tiny-test" and other["model_id"] == "echo"
    assert [scene["hands"] for scene in ours["scenes"]] == [1, 2, 1]
    for stage in ("preprocess_ms", "inference_ms", "decode_ms", "total_ms", "cpu_ms"):
        for scene in ours["scenes"]:
            assert 0 < scene[stage]["p50"] <= scene[stage]["p95"] <= scene[stage]["p99"]
    assert ours["start_s"] > 0 and (ours["memory_mb"] is None or ours["memory_mb"] > 10)
    assert "inference_ms" not in other["scenes"][0]
    assert cv2.imread(str(plot)).shape[1] == 1000


def test_graphs_run_on_each_backend_checkpoints_on_torch_and_mediapipe_elsewhere():
    from handmesh_ros.cli import bench as command

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    arguments = ["a.onnx", "b.ckpt", "--backends", "onnxruntime,openvino", "--threads", "2"]
    args = parser.parse_args([*arguments, "--mediapipe", "other/python"])
    commands = dict(command._commands(args))
    assert list(commands) == [
        "a.onnx on onnxruntime",
        "a.onnx on openvino",
        "b.ckpt on torch",
        "MediaPipe",
    ]
    assert commands["b.ckpt on torch"][-4:] == ["b.ckpt", "torch", "2", "alone"]
    assert commands["MediaPipe"][0] == "other/python"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--sizes", "big"),
        ("--sizes", "0x3"),
        ("--hands", "none"),
        ("--hands", "0"),
        ("--repeat", "0"),
        ("--backends", "onnxruntime,warp"),
    ],
)
def test_option_values_that_cannot_work_exit_with_2(tiny_model, capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        main(["bench", str(tiny_model), *arguments])
    assert stop.value.code == 2
    assert f"argument {arguments[0]}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--image", "none.jpg"),
        ("--json", f"{__file__}/all.json"),
        ("none.onnx",),
    ],
)
def test_what_cannot_work_is_refused(capsys, arguments):
    assert main(["bench", *arguments]) == 1
    assert capsys.readouterr().err.startswith("handmesh: ")


def test_a_contestant_that_ends_says_its_last_words(tmp_path):
    contestant = Contestant("Echo", script(tmp_path))
    assert contestant.start_s > 0 and contestant.ask(run=True)["total_ms"] == 2.0
    with pytest.raises(HandmeshError, match="Echo has ended: out of luck"):
        contestant.ask(fail=True)


def test_an_interpreter_that_is_not_there():
    with pytest.raises(HandmeshError, match="cannot be started"):
        Contestant("MediaPipe", ["/no/such/python"])


def test_the_worker_decodes_the_wanted_number_of_hands(tiny_model, tmp_path):
    estimator = Estimator.from_file(tiny_model, "onnxruntime")
    worker = Worker(estimator)
    path = str(tmp_path / "image.npy")
    np.save(path, np.full((48, 64, 3), 200, np.uint8))
    assert [worker.show(path, count)["hands"] for count in (1, 2, None)] == [1, 2, 2]
    timings = worker.run()
    assert timings["total_ms"] >= timings["inference_ms"] > 0
    np.save(path, np.zeros((48, 64, 3), np.uint8))
    assert worker.show(path, None)["hands"] == 0


@pytest.mark.parametrize(("hands", "width", "height"), [(1, 64, 48), (2, 640, 480), (10, 320, 99)])
def test_scenes_have_their_size_and_are_not_empty(hands, width, height):
    scene = clip_scene(hands, width, height)
    assert scene.image.shape == (height, width, 3) and scene.image.dtype == np.uint8
    assert scene.image.std() > 10
    assert scene.title == f"{width}x{height}, {hands} hand" + "s" * (hands > 1)


def test_bars_end_where_the_scale_says():
    def result(p50):
        scenes = [{"title": "640x480", "hands": 1, "total_ms": {"p50": p50, "p95": 40.0}}]
        return {"model_id": f"model {p50}", "backend": "none", "scenes": scenes}

    report = {
        "machine": {"processor": "test", "cores": 1},
        "results": [result(10.0), result(20.0)],
    }
    image = draw_plot(report)
    lengths = [
        max((image[y] == color).all(axis=-1).sum() for y in range(len(image)))
        for color in ((180, 119, 31), (14, 127, 255))
    ]
    assert lengths[1] == pytest.approx(2 * lengths[0], abs=3)


def test_the_mean_counts_rare_slow_images_too():
    from handmesh_ros.bench.measure import _percentiles

    figures = _percentiles([{"cpu_ms": 10.0}, {"cpu_ms": 10.0}, {"cpu_ms": 40.0}])
    assert figures["cpu_ms"]["p50"] == 10.0 and figures["cpu_ms"]["mean"] == 20.0


def test_the_bundled_model_is_measured_alone_and_with_closer_looks():
    from handmesh_ros.cli import bench as command

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    titles = [title for title, _ in command._commands(parser.parse_args([]))]
    assert titles == ["mobile.onnx on auto", "mobile.onnx on auto, fast"]
    both = parser.parse_args(["--efforts", "alone,both,best"])
    assert [c[-1] for _, c in command._commands(both)] == ["alone", "both", "best"]


def test_a_video_goes_on_from_image_to_image_without_a_jump(tiny_model, tmp_path):
    video = video_scene(64, 48)
    assert video.title == "64x48, video" and video.hands is None
    around = np.concatenate([video.image, video.image[:1]]).astype(float)
    steps = np.abs(np.diff(around, axis=0)).mean((1, 2, 3))
    assert steps.max() < 3 * np.median(steps)
    worker = Worker(Estimator.from_file(tiny_model, "onnxruntime"))
    path = str(tmp_path / "video.npy")
    np.save(path, np.full((3, 48, 64, 3), [[[[0]]], [[[200]]], [[[0]]]], np.uint8))
    assert worker.show(path, None) == {"hands": 2}  # the second of its images is bright
    assert worker.run()["total_ms"] > 0
    assert worker.show(path, None) == {"hands": 0}

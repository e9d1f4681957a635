import sys

import numpy as np
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.evaluation.mediapipe_baseline import MediaPipeBaseline

WORKER = """
import json, sys
images = sys.stdin.buffer
most, kind = images.readline().split()
most = int(most) if kind == b"images" else 1
for header in images:
    height, width = map(int, header.split())
    data = images.read(height * width * 3)
    if data[0] == 255:
        sys.exit("out of luck")
    hands = [
        {
            "keypoints": [[x + i, height / 2] for i in range(21)],
            "is_right": x > 40,
            "score": x / 100,
        }
        for x in data[:: width * 3][:most] if x
    ]
    print(json.dumps(hands), flush=True)
"""
"""Answers with hands at the columns that the first pixel of each row says."""


@pytest.fixture
def baseline(tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    baseline = MediaPipeBaseline(sys.executable, max_hands=3, worker=worker)
    yield baseline
    baseline.close()


def image(*columns):
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[: len(columns), 0, 0] = columns
    return pixels


def test_hands_come_back_best_first_in_pixels(baseline):
    found = baseline.detect(image(20, 50))
    assert found.keypoints_2d[:, 0, 0].tolist() == [50, 20]
    assert found.handedness.tolist() == [1, 0]
    np.testing.assert_allclose(found.score, [0.5, 0.2])
    assert (found.box[:, 0] < [50, 20]).all() and (found.box[:, 2] > [70, 40]).all()


def test_a_video_is_announced_as_one(tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    baseline = MediaPipeBaseline(sys.executable, max_hands=3, video=True, worker=worker)
    assert len(baseline.detect(image(20, 50))) == 1, (
        "the worker of this test takes one hand of a video"
    )
    baseline.close()


def test_no_hands_and_then_hands_again(baseline):
    assert len(baseline.detect(image())) == 0
    assert len(baseline.detect(image(10))) == 1


def test_a_process_that_stops_is_a_sentence(baseline):
    with pytest.raises(HandmeshError, match="out of luck.*mediapipe==0.10.21"):
        baseline.detect(image(255))


def test_no_interpreter_is_a_sentence():
    with pytest.raises(HandmeshError, match="Cannot run nowhere/python"):
        MediaPipeBaseline("nowhere/python")

from __future__ import annotations

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from handmesh_ros.cli.main import main
from handmesh_ros.media import sources as frames
from handmesh_ros.training.data.composition.photographs import read_photographs


class FakeHands:
    """MediaPipe's detector; it sees one open hand in the middle of every image."""

    def __init__(self, **options):
        assert options["static_image_mode"]

    def process(self, image):
        turn = np.linspace(0, 2 * np.pi, 21)
        points = 0.5 + 0.3 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        mirrored = image[0, 0, 0] > 128
        if mirrored:
            points[:, 0] = 1 - points[:, 0]
        side = SimpleNamespace(label="Right" if mirrored else "Left", score=0.97)
        landmark = [SimpleNamespace(x=x, y=y) for x, y in points]
        space = [SimpleNamespace(x=0.1 * x, y=0.1 * y, z=0.0) for x, y in points]
        return SimpleNamespace(
            multi_hand_landmarks=[SimpleNamespace(landmark=landmark)],
            multi_hand_world_landmarks=[SimpleNamespace(landmark=space)],
            multi_handedness=[SimpleNamespace(classification=[side])],
        )


@pytest.fixture
def mediapipe(monkeypatch):
    hands = SimpleNamespace(Hands=FakeHands)
    fake = SimpleNamespace(solutions=SimpleNamespace(hands=hands), __version__="0.10.21")
    monkeypatch.setitem(sys.modules, "mediapipe", fake)
    return fake


@pytest.fixture
def photographs(tmp_path):
    image = np.zeros((90, 120, 3), np.uint8)
    image[:, -1] = 255
    for name in ("one.png", "two.png"):
        cv2.imwrite(str(tmp_path / name), image)
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    return tmp_path


def test_photographs_are_labelled_and_read_back(mediapipe, photographs, capsys, caplog):
    assert main(["label", str(photographs)]) == 0
    assert "Labelled 2 of 2 hands in 2 photographs" in capsys.readouterr().out
    assert "Skipped 1 of 3" in caplog.text and "broken.jpg" in caplog.text
    found = read_photographs(photographs)
    assert [p.name for p in found] == ["one.png", "two.png"]
    assert found[0].is_right.tolist() == [True]
    np.testing.assert_allclose(found[0].keypoints[0, 0], [0.8 * 120 - 0.5, 44.5], atol=0.01)


def test_labels_elsewhere_name_the_photographs_from_there(mediapipe, photographs):
    output = photographs / "labels" / "hands.json"
    assert main(["label", str(photographs), "--output", str(output)]) == 0
    assert [p.name for p in read_photographs(output.parent)] == ["../one.png", "../two.png"]


def test_what_is_missing_is_said(photographs, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mediapipe", SimpleNamespace(__version__="0.10.31"))
    assert main(["label", str(photographs)]) == 1
    assert "ships no hand model" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    assert main(["label", str(photographs)]) == 1
    assert ".[label]" in capsys.readouterr().err
    assert main(["label", str(tmp_path / "nowhere")]) == 1
    assert "is no folder" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(mediapipe, photographs, capsys):
    place = photographs / "one.png" / "x.json"
    assert main(["label", str(photographs), "--output", str(place)]) == 1
    assert f"Cannot write {place}" in capsys.readouterr().err


def test_labels_never_replace_a_photograph(photographs, capsys):
    before = (photographs / "one.png").read_bytes()
    output = ["--output", str(photographs / "one.png")]
    assert main(["label", str(photographs), *output]) == 1
    assert "would overwrite" in capsys.readouterr().err
    assert (photographs / "one.png").read_bytes() == before


def test_decoders_are_silenced_in_every_opencv(monkeypatch):
    """The environment that MediaPipe needs has OpenCV 4.11, which keeps the level elsewhere."""
    monkeypatch.delenv("OPENCV_LOG_LEVEL", raising=False)
    levels = []
    monkeypatch.setattr(frames.cv2, "setLogLevel", levels.append, raising=False)
    frames.quiet_decoders()
    monkeypatch.delattr(frames.cv2, "setLogLevel")
    logger = SimpleNamespace(setLogLevel=levels.append)
    monkeypatch.setattr(frames.cv2.utils, "logging", logger, raising=False)
    frames.quiet_decoders()
    monkeypatch.setenv("OPENCV_LOG_LEVEL", "INFO")
    frames.quiet_decoders()
    assert levels == [0, 0]

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from handmesh_ros.cli.main import main
from handmesh_ros.cli.training import label_teacher
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.teacher import Findings, Readings
from handmesh_ros.training.data.composition.photographs import read_photographs, source_group

TURN = np.linspace(0, 2 * np.pi, 21)
CIRCLE = np.stack([np.cos(TURN), np.sin(TURN)], axis=1)


class FakeTeacher:
    """Finds a hand as sure as the image is bright, and one that it doubts in its corner."""

    model_id = "fake"

    def __init__(self):
        self.images, self.is_open = [], True

    def detect(self, image, least_score):
        self.images.append(image)
        if len(self.images) == FakeTeacher.broken_at:
            raise HandmeshError("The network broke.")
        score = np.float32([image.mean() / 255, 0.5])
        keypoints = np.stack([CIRCLE * 30 + [60, 45], CIRCLE * 12 + [105, 75]])
        return Findings(
            Readings(
                keypoints=keypoints,
                right_probability=np.array([0.9, 0.2]),
                presence=np.ones((2, 2)),
                gap=np.array([0.01, 0.5]),
                is_same_side=np.ones(2, bool),
            ),
            score,
        )

    def close(self):
        self.is_open = False


@pytest.fixture
def teacher(monkeypatch):
    made = FakeTeacher()
    FakeTeacher.broken_at = None
    made.proposers = None

    def open_teacher(backend, proposers):
        made.proposers = proposers
        return made

    monkeypatch.setattr(label_teacher, "open_teacher", open_teacher)
    monkeypatch.setattr(label_teacher, "_has_mediapipe", lambda: False)
    return made


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    (folder / "sub").mkdir(parents=True)
    for name, light in (("bright.png", 250), ("sub/dark.png", 5)):
        cv2.imwrite(str(folder / name), np.full((90, 120, 3), light, np.uint8))
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def video(path, frames):
    path.parent.mkdir(exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (120, 90))
    for number in range(frames):
        writer.write(np.full((90, 120, 3), 240 - 6 * number, np.uint8))
    writer.release()


def label(*arguments):
    return main(["label", "--teacher", *map(str, arguments)])


def content(folder):
    return json.loads((folder / "hands.json").read_text())


def test_sure_hands_are_labelled_doubtful_ones_ignored_and_others_background(
    teacher, photographs, capsys, caplog
):
    assert label(photographs) == 0
    assert "Labelled 1 hands and 2 places to be ignored in 2 images" in capsys.readouterr().out
    assert "Skipped 1 of 3" in caplog.text and "broken.jpg" in caplog.text
    marks = [
        (a["image_id"], a["num_keypoints"], a["iscrowd"])
        for a in content(photographs)["annotations"]
    ]
    assert marks == [(1, 21, 0), (1, 0, 1), (2, 0, 1)]
    (found,) = read_photographs(photographs)
    assert found.name == "bright.png" and found.is_right.tolist() == [True]
    np.testing.assert_allclose(found.keypoints[0], CIRCLE * 30 + [60, 45], atol=0.01)
    assert len(found.ignored) == 1 and not teacher.is_open


def test_no_bar_without_the_package_for_bars(teacher, photographs, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert label(photographs) == 0
    assert len(content(photographs)["images"]) == 2


def test_thresholds_decide(teacher, photographs):
    assert label(photographs, "--strict", 0.99, "--loose", 0.6) == 0
    (only,) = content(photographs)["annotations"]
    assert only["num_keypoints"] == 0 and only["score"] == pytest.approx(250 / 255, abs=1e-3)
    assert "--strict 0.99 --loose 0.6: fake" in content(photographs)["info"]["source"]


def test_frames_of_videos_become_files_that_are_labelled(teacher, photographs):
    video(photographs / "sub" / "clip.avi", 8)
    output = photographs.parent / "labels" / "hands.json"
    assert label(photographs, "--output", output, "--every", 3) == 0
    names = [image["file_name"] for image in content(output.parent)["images"]]
    frames = [f"video_frames/sub/clip.avi/00000{number}.jpg" for number in (0, 3, 6)]
    assert names == ["../photographs/bright.png", *frames, "../photographs/sub/dark.png"]
    for name, light in zip(frames, (240, 222, 204), strict=True):
        image = cv2.imread(str(output.parent / name))
        assert image.shape == (90, 120, 3) and abs(image.mean() - light) < 3
        assert source_group(name) == "video_frames/sub/clip.avi"
    assert len({id(image) for image in teacher.images}) == 5


def test_what_is_labelled_is_kept_and_frames_are_no_photographs(teacher, photographs, capsys):
    video(photographs / "clip.avi", 4)
    assert label(photographs, "--every", 2) == 0
    before = content(photographs)
    assert len(before["images"]) == 4 and len(teacher.images) == 4
    cv2.imwrite(str(photographs / "new.png"), np.full((90, 120, 3), 245, np.uint8))
    assert label(photographs, "--every", 2) == 0
    after = content(photographs)
    assert len(teacher.images) == 5
    assert after["images"][:4] == before["images"]
    assert after["annotations"][: len(before["annotations"])] == before["annotations"]
    assert [image["file_name"] for image in after["images"]][4:] == ["new.png"]
    assert "(4 were labelled before)" in capsys.readouterr().out


def test_an_interruption_loses_no_labels(teacher, photographs, capsys):
    FakeTeacher.broken_at = 2
    assert label(photographs) == 1
    assert "The network broke." in capsys.readouterr().err
    assert [image["file_name"] for image in content(photographs)["images"]] == ["bright.png"]
    assert not teacher.is_open
    FakeTeacher.broken_at = None
    assert label(photographs) == 0
    assert len(content(photographs)["images"]) == 2 and len(teacher.images) == 3


@pytest.mark.parametrize("other", [["--strict", "0.95"], ["--loose", "0.3"]])
def test_labels_that_were_made_otherwise_are_not_mixed_in(teacher, photographs, other, capsys):
    assert label(photographs) == 0
    before = (photographs / "hands.json").read_bytes()
    assert label(photographs, *other) == 1
    assert "were made otherwise (handmesh label --teacher" in capsys.readouterr().err
    assert (photographs / "hands.json").read_bytes() == before


def test_a_file_of_labels_that_is_damaged_is_named_and_kept(teacher, photographs, capsys):
    (photographs / "hands.json").write_text('{"images": [')
    assert label(photographs) == 1
    assert "is no complete list of hands" in capsys.readouterr().err
    assert (photographs / "hands.json").read_text() == '{"images": ['


def test_mediapipe_proposes_places_where_an_interpreter_has_it(teacher, photographs, monkeypatch):
    made = []

    class Baseline:
        def __init__(self, python):
            self.python, self.is_open = python, True
            made.append(self)

        def detect(self, image):
            hands = Hands.empty()
            return Hands.joined([hands, hands])

        def close(self):
            self.is_open = False

    monkeypatch.setattr(label_teacher, "MediaPipeBaseline", Baseline)
    assert label(photographs, "--mediapipe", "/some/python") == 0
    assert made[0].python == "/some/python" and not made[0].is_open
    (propose,) = teacher.proposers
    assert len(propose(np.zeros((9, 9, 3), np.uint8))) == 0
    assert content(photographs)["info"]["source"].endswith("fake + MediaPipe Hands")
    (photographs / "hands.json").unlink()
    monkeypatch.setattr(label_teacher, "_has_mediapipe", lambda: True)
    assert label(photographs) == 0
    assert made[1].python == sys.executable


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--teacher", "--strict", "0.3", "--loose", "0.4"], "--loose 0.4 is above --strict 0.3"),
        (["--teacher", "--strict", "1.5"], "from 0 to 1"),
        (["--teacher", "--every", "0"], "of at least 1"),
        (["--teacher", "--min-score", "0.9"], "give --strict and --loose"),
        (["--strict", "0.9"], "--strict is for --teacher"),
        (["--every", "3"], "--every is for --teacher"),
        (["--backend", "onnxruntime"], "--backend is for --teacher"),
    ],
)
def test_options_that_do_not_go_together_are_refused(photographs, arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(["label", str(photographs), *arguments])
    assert message in capsys.readouterr().err


def test_a_low_strict_threshold_alone_leaves_nothing_to_ignore(teacher, photographs):
    assert label(photographs, "--strict", 0.05) == 0
    assert "--strict 0.05 --loose 0.05" in content(photographs)["info"]["source"]


def test_what_cannot_be_labelled_is_said(teacher, photographs, tmp_path, capsys):
    assert label(tmp_path / "nowhere") == 1
    assert "is no folder" in capsys.readouterr().err
    for name in ("bright.png", "sub/dark.png"):
        (photographs / name).unlink()
    assert label(photographs) == 1
    assert "holds no photograph and no video that can be read" in capsys.readouterr().err
    assert not (photographs / "hands.json").exists()


def test_labels_never_replace_a_photograph(teacher, photographs, capsys):
    output = Path(photographs / "bright.png")
    before = output.read_bytes()
    assert label(photographs, "--output", output) == 1
    assert "would overwrite" in capsys.readouterr().err
    assert output.read_bytes() == before

import json
import sys

import cv2
import numpy as np
import pytest

from benchmarks import compare_labels
from handmesh_ros.training.data.readers.hand_labels import (
    LabelledHand,
    LabelledImage,
    write_hand_labels,
)
from handmesh_ros.training.data.sample import box_of_keypoints

TURN = np.linspace(0, 2 * np.pi, 21)


def circle(x, y):
    return 20 * np.stack([np.cos(TURN), np.sin(TURN)], axis=1) + [x, y]


def hand(points, is_right=True, is_ignored=False):
    box = box_of_keypoints(points[None])[0]
    return LabelledHand(None if is_ignored else points, box, is_right, 0.9, is_ignored=is_ignored)


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "some" / "images"
    images.mkdir(parents=True)
    cv2.imwrite(str(images / "a.png"), np.zeros((200, 300, 3), np.uint8))
    known = [
        {"keypoints": circle(*place).tolist(), "handedness": "right"}
        for place in ((40, 40), (40, 120), (120, 40), (120, 120))
    ]
    known.append({"ignored_box": [200, 100, 250, 150]})
    (tmp_path / "some" / "labels.json").write_text(json.dumps({"a.png": known}))
    hands = [
        hand(circle(40, 40) + 1),
        hand(circle(40, 120), is_right=False),
        hand(circle(120, 40), is_ignored=True),
        hand(circle(220, 40)),
        hand(circle(225, 125)),
        hand(circle(280, 40), is_ignored=True),
    ]
    labels = [LabelledImage("some/images/a.png", 300, 200, hands)]
    write_hand_labels(tmp_path / "hands.json", labels, "a test")
    return tmp_path


def test_what_became_of_known_hands_and_what_was_added(folder):
    lines = list(compare_labels.compare(folder).lines())
    assert lines == [
        "images 1, known hands 4",
        "known hands that are labelled: 2 (0.500)",
        "known hands that are ignored: 1 (0.250)",
        "known hands that are background: 1 (0.250)",
        "precision 0.667, side 0.500",
        "PCK@.1 1.000, @.2 1.000",
        "added: 1 labelled, 1 to be ignored",
    ]


def test_the_sheet_shows_each_kind(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x", str(folder), "--sheet", str(folder / "sheet.png")])
    assert compare_labels.main() == 0
    assert "known hands 4" in capsys.readouterr().out
    sheet = cv2.imread(str(folder / "sheet.png"))
    assert sheet.shape[1] == 8 * compare_labels.SIDE and sheet.any()


def test_a_folder_without_labels_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path)])
    assert compare_labels.main() == 1
    assert "hands.json" in capsys.readouterr().err

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.media.sources import Source
from handmesh_ros.report.truth import Truth
from handmesh_ros.training.data.readers.hand_labels import (
    LabelledHand,
    LabelledImage,
    write_hand_labels,
)

POINTS = np.stack([np.linspace(20, 60, 21), np.linspace(10, 40, 21)], axis=1)


def entry(**fields):
    return {"keypoints": POINTS.tolist(), "handedness": "right"} | fields


def write(path: Path, labels) -> Path:
    path.write_text(json.dumps(labels))
    return path


def photo(folder: Path, name: str = "a.jpg") -> Source:
    return Source(folder / name, Path(name))


def test_labels_of_a_folder_are_found_by_path_and_by_file_name(tmp_path):
    labels = {"set/a.jpg": entry(), "b.jpg": [entry(handedness="left"), entry()]}
    truth = Truth(write(tmp_path / "labels.json", labels))
    beside = truth.of(photo(tmp_path / "set"), 80, 60)
    np.testing.assert_allclose(beside.keypoints_2d[0], POINTS, atol=1e-4)
    assert beside.is_right.tolist() == [True] and not beside.has_3d.any()
    in_images = truth.of(photo(tmp_path / "images" / "set"), 80, 60)
    assert len(in_images.is_right) == 1
    elsewhere = truth.of(photo(Path("/elsewhere"), "b.jpg"), 80, 60)
    assert elsewhere.is_right.tolist() == [False, True]
    assert truth.of(photo(tmp_path, "c.jpg"), 80, 60) is None
    assert truth.of(photo(tmp_path, "set.mp4"), 80, 60) is None


def test_a_file_name_that_two_images_have_says_nothing(tmp_path):
    labels = {"one/a.jpg": entry(), "two/a.jpg": entry()}
    truth = Truth(write(tmp_path / "labels.json", labels))
    assert truth.of(photo(Path("/elsewhere")), 80, 60) is None
    assert truth.of(Source(Path("/elsewhere/two/a.jpg"), Path("two/a.jpg")), 80, 60) is not None


def test_hands_json_is_scaled_to_a_copy_in_another_size(tmp_path):
    hand = LabelledHand(POINTS, np.array([10.0, 5.0, 70.0, 50.0]), True, 1.0)
    ignored = LabelledHand(None, np.array([0.0, 0.0, 9.0, 9.0]), True, 1.0, is_ignored=True)
    image = LabelledImage("a.jpg", 80, 60, [hand, ignored])
    write_hand_labels(tmp_path / "hands.json", [image], "by hand")
    truth = Truth(tmp_path / "hands.json")
    larger = truth.of(photo(tmp_path), 160, 120)
    np.testing.assert_allclose(larger.keypoints_2d[0], (POINTS + 0.5) * 2 - 0.5, atol=1e-3)
    assert larger.ignored.tolist() == [False, True]
    assert truth.of(photo(tmp_path), 100, 120) is None


def test_an_image_with_a_hand_without_keypoints_has_no_truth(tmp_path):
    truth = Truth(write(tmp_path / "labels.json", {"a.jpg": [entry(), entry(keypoints=None)]}))
    assert truth.of(photo(tmp_path), 80, 60) is None


def test_a_truth_of_other_names_is_one_sentence(tmp_path):
    truth = Truth(write(tmp_path / "labels.json", {"x.jpg": entry(), "y.jpg": entry()}))
    truth.check([photo(tmp_path, "x.jpg"), photo(tmp_path)])
    with pytest.raises(HandmeshError, match=r"2 images, first 'x.jpg', and none .*a.jpg: give"):
        truth.check([photo(tmp_path)])
    with pytest.raises(HandmeshError, match="among the 0 photographs"):
        truth.check([photo(tmp_path, "clip.mp4")])


@pytest.mark.parametrize(
    "content", ["", "[1, 2]", '{"a.jpg": [1]}', '{"a.jpg": {"keypoints": [1, 2]}}', "\xff"]
)
def test_a_file_that_is_no_truth_is_one_sentence(tmp_path, content):
    path = tmp_path / "labels.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(HandmeshError, match="The truth file .* cannot be used"):
        Truth(path)
    with pytest.raises(HandmeshError, match="No such file"):
        Truth(tmp_path / "missing.json")

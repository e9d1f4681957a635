import json

import cv2
import numpy as np
import pytest
from drawn_hands import open_hand_keypoints

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.datasets.photographs import (
    find_sets,
    is_validation,
    read_photographs,
    read_samples,
    source_group,
)


@pytest.fixture
def photo_set(tmp_path):
    folder = tmp_path / "some_hands"
    (folder / "images").mkdir(parents=True)
    hand = {"keypoints": open_hand_keypoints().tolist(), "handedness": "left"}
    labels = {
        "IMG_0001.png": hand,
        "IMG_0002.png": [hand, {**hand, "handedness": "right"}],
        "unlabelled.png": None,
        "half.png": [hand, {**hand, "keypoints": hand["keypoints"][:20]}],
        "sideless.png": {"keypoints": hand["keypoints"]},
        "missing.png": hand,
    }
    for name in labels:
        if name != "missing.png":
            cv2.imwrite(str(folder / "images" / name), np.full((100, 120, 3), 90, np.uint8))
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder


def test_one_and_two_hands_are_read_and_the_unusable_left_out(photo_set, caplog):
    photographs = read_photographs(photo_set)
    assert [p.name for p in photographs] == ["IMG_0001.png", "IMG_0002.png"]
    assert "1 without an image" in caplog.text
    assert "3 without a usable label" in caplog.text
    sample = photographs[1].read()
    assert sample.image.shape == (100, 120, 3)
    assert sample.is_right.tolist() == [0, 1]
    assert sample.has_3d.tolist() == [0, 0]
    assert sample.source == "some_hands/IMG_0002.png"
    np.testing.assert_allclose(sample.intrinsics, [103.92, 103.92, 59.5, 49.5], atol=0.01)


def test_a_broken_image_is_skipped_and_counted(photo_set, caplog):
    (photo_set / "images" / "IMG_0001.png").write_bytes(b"not an image")
    samples = list(read_samples(read_photographs(photo_set)))
    assert len(samples) == 1
    assert "Skipped 1 of 2" in caplog.text


def test_a_folder_without_labels_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(HandmeshError, match="no readable labels.json"):
        read_photographs(tmp_path)
    with pytest.raises(HandmeshError, match="No labels.json"):
        find_sets(tmp_path)


def test_a_file_without_usable_labels_is_refused(tmp_path):
    (tmp_path / "labels.json").write_text("{}")
    with pytest.raises(HandmeshError, match="No usable photograph"):
        read_photographs(tmp_path)


def test_the_split_is_a_partition(photo_set):
    both = {p.name for p in read_photographs(photo_set)}
    parts = []
    for split in ("train", "val"):
        try:
            parts += [p.name for p in read_photographs(photo_set, split)]
        except HandmeshError:
            continue
    assert sorted(parts) == sorted(both)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A11_a.jpg", "A11_b.jpg"),
        ("4/IMG_4678.JPG", "5/IMG_4669.JPG"),
        ("2_pic00443.jpg", "2_pic00459.jpg"),
        ("IMG-20230312-WA0064.jpg", "IMG-20230312-WA0079.jpg"),
        (
            "abh_Hello-b510cfae-458b-11ee-8b63-005056c00008.jpg",
            "abh_Hello-b8b179b4-458b-11ee-8861-005056c00008.jpg",
        ),
    ],
)
def test_near_duplicates_stay_together(one, other):
    assert source_group(one) == source_group(other)
    assert is_validation("a_set", one) == is_validation("a_set", other)


def test_about_a_tenth_is_for_validation_and_always_the_same():
    names = [f"{letter}{number}_a.jpg" for letter in "ABCDEFGHIJ" for number in range(200)]
    chosen = [is_validation("letters", name) for name in names]
    assert 0.07 < np.mean(chosen) < 0.13
    assert [i for i, c in enumerate(chosen) if c][:4] == [7, 10, 29, 31]

import json

import cv2
import numpy as np
import pytest
import torch
from drawn_hands import open_hand_keypoints

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import SKELETON
from handmesh_ros.hand.model import HandModel, axis_angle_to_matrix
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.training.data.composition.photographs import (
    BONES_LENGTH,
    find_sets,
    is_validation,
    joints_on_rays,
    read_photographs,
    read_samples,
    source_group,
)
from handmesh_ros.training.data.readers.annotated import project


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
        ("video_frames/a/clip.mp4/000015.jpg", "video_frames/a/clip.mp4/000990.jpg"),
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


CAMERA = np.array([300.0, 300.0, 160.0, 120.0])


def average_hand(bend, place):
    """The average hand's joints (21, 3), camera frame, fingers bent by some radians."""
    model = HandModel(HandTemplate.bundled())
    turns = torch.full((1, 16, 3), bend) * torch.tensor([0.3, 0.2, 1.0])
    joints = model.right_keypoints(axis_angle_to_matrix(turns), torch.zeros(1, 10))
    return joints[0].numpy() + np.asarray(place, np.float32)


def test_the_average_hands_size_is_the_hand_models():
    bones = np.diff(average_hand(0.0, (0, 0, 1))[np.array(SKELETON)], axis=1)
    assert np.linalg.norm(bones, axis=2).sum() == pytest.approx(BONES_LENGTH, rel=0.01)


@pytest.mark.parametrize("place", [(0, 0, 0.5), (0.25, -0.1, 0.6), (-0.1, 0.1, 0.3)])
def test_a_known_shape_is_placed_where_its_keypoints_are(place):
    """Whatever size the shape was given in, and seen straight on as MediaPipe gives it."""
    joints = average_hand(0.4, place)
    x, y, z = joints.mean(0) / np.linalg.norm(joints.mean(0))
    right = np.cross([0, 1, 0], [x, y, z])
    right /= np.linalg.norm(right)
    straight = np.stack([right, np.cross([x, y, z], right), [x, y, z]])  # roll-free to first order
    world = 1.4 * (joints - joints.mean(0)) @ straight.T
    keypoints = project(joints, CAMERA)
    found = joints_on_rays(world, keypoints, CAMERA)
    np.testing.assert_allclose(project(found, CAMERA), keypoints, atol=1e-2)
    assert np.linalg.norm(found - joints, axis=1).max() < 0.02
    relative = (found - found[0]) - (joints - joints[0])
    assert np.linalg.norm(relative, axis=1).mean() < 0.006


def test_hands_without_a_shape_in_space_have_no_joints(photo_set):
    for photograph in read_photographs(photo_set):
        sample = photograph.read(with_joints=True)
        assert not sample.joints.any() and not sample.translation.any()


@pytest.mark.parametrize("world", [[[0, 0, 0]] * 20, "no", [[0, 0, float("nan")]] * 21, None])
def test_shapes_that_cannot_be_used_are_none(photo_set, world):
    file = photo_set / "labels.json"
    labels = json.loads(file.read_text())
    labels["IMG_0001.png"]["world"] = world
    file.write_text(json.dumps(labels))
    assert not read_photographs(photo_set)[0].world.any()

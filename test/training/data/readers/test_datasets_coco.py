"""Label files as tools export them: put right where they say how, else left out and counted."""

import json

import cv2
import numpy as np
import pytest
from drawn_hands import open_hand_keypoints
from published_sets import two_hands, write_coco_wholebody

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import KEYPOINT_NAMES
from handmesh_ros.training.data.composition.photographs import read_photographs, read_samples
from handmesh_ros.training.data.readers.coco import CocoFile
from handmesh_ros.training.data.readers.coco_wholebody import CocoWholeBody

POINTS = open_hand_keypoints()
NAMES = list(KEYPOINT_NAMES)


def hand(image, points=POINTS, **changes):
    flat = np.column_stack([points, np.full(21, 2)]).ravel().tolist()
    return {"image_id": image, "category_id": 1, "keypoints": flat, "handedness": "left"} | changes


def write_set(
    folder, annotations, categories=(), files=("a.png", "b.png"), name="hands.json", **more
):
    """A set of images of 120 × 100 pixels with the ids 1, 2, …"""
    folder.mkdir(exist_ok=True)
    for file in files:
        cv2.imwrite(str(folder / file), np.zeros((100, 120, 3), np.uint8))
    images = [
        {"id": n, "file_name": file, "width": 120, "height": 100} | more
        for n, file in enumerate(files, 1)
    ]
    content = {"images": images, "annotations": annotations, "categories": list(categories)}
    (folder / name).write_text(json.dumps(content))
    return folder


def used(folder):
    try:
        return [photograph.name for photograph in read_photographs(folder)]
    except HandmeshError as error:
        assert "No usable photograph" in str(error)
        return []


@pytest.mark.parametrize(
    "bad",
    [
        {"keypoints": "all"},
        {"keypoints": None},
        {"keypoints": [float("nan")] * 63},
        {"keypoints": [1, 2, 2] * 20},
        {"handedness": None},
        {"handedness": 1},
        {"iscrowd": 1},
        {"category_id": 7},
        {"keypoints": np.column_stack([POINTS + 500, np.ones(21)]).ravel().tolist()},
        {"keypoints": np.column_stack([POINTS / 500, np.ones(21)]).ravel().tolist()},
    ],
)
def test_a_hand_that_cannot_be_used_costs_its_photograph_only(tmp_path, caplog, bad):
    categories = [{"id": 1, "name": "hand"}]
    folder = write_set(tmp_path / "set", [hand(1), hand(2), hand(2, **bad)], categories)
    assert used(folder) == ["a.png"]
    assert "2 images read, 1 used; left out: 1 without a usable label" in caplog.text


def test_whatever_is_no_hand_is_counted_and_harms_nothing(tmp_path, caplog):
    categories = [
        {"id": 1, "name": "Hand"},
        {"id": 2, "name": "handbag"},
        {"id": 3, "name": "foot"},
    ]
    mask = {"segmentation": {"counts": "abc", "size": [100, 120]}, "iscrowd": 1}
    others = [
        hand(1, category_id=2),
        hand(1, category_id=3),
        {"image_id": 1, "category_id": 3, **mask},
    ]
    folder = write_set(tmp_path / "set", [hand(1), *others], categories)
    (photograph,) = read_photographs(folder)
    assert len(photograph.keypoints) == 1
    assert "3 annotations of other things than hands" in caplog.text


@pytest.mark.parametrize("order", [NAMES[1:] + NAMES[:1], sorted(NAMES), NAMES[::-1]])
@pytest.mark.parametrize("write", [str, str.upper, lambda name: name.replace("_", " ")])
def test_keypoints_of_another_order_are_put_into_ours(tmp_path, order, write):
    points = POINTS[[NAMES.index(name) for name in order]]
    category = {"id": 1, "name": "object", "keypoints": [write(name) for name in order]}
    folder = write_set(tmp_path / "set", [hand(1, points)], [category])
    np.testing.assert_allclose(read_photographs(folder)[0].keypoints[0], POINTS, atol=1e-4)


@pytest.mark.parametrize("name", ["hand", "object"])
@pytest.mark.parametrize("names", [NAMES[:20] + ["pinky"], NAMES[:20], [*NAMES[:20], "wrist"]])
def test_names_that_are_only_partly_ours_are_not_trained_on(tmp_path, name, names):
    category = {"id": 1, "name": name, "keypoints": names}
    assert used(write_set(tmp_path / "set", [hand(1)], [category])) == []


def test_a_second_category_of_21_points_is_not_taken_for_hands(tmp_path):
    face = {"id": 2, "name": "face", "keypoints": [f"face_{n}" for n in range(21)]}
    annotations = [hand(1), hand(1, POINTS + 9, category_id=2), hand(2, category_id=2)]
    folder = write_set(tmp_path / "set", annotations, [{"id": 1, "name": "hand"}, face])
    (photograph,) = read_photographs(folder)
    np.testing.assert_allclose(photograph.keypoints, POINTS[None], atol=1e-4)
    unnamed = [{"id": 1, "name": "thing"}, face]
    assert used(write_set(tmp_path / "set", annotations, unnamed)) == []


def test_the_side_may_be_told_by_the_category_or_an_attribute(tmp_path, caplog):
    categories = [{"id": 1, "name": "left_hand"}, {"id": 2, "name": "rightHand"}]
    bare = hand(1)
    del bare["handedness"]
    annotations = [bare, {**bare, "category_id": 2}, hand(2, category_id=2)]
    folder = write_set(tmp_path / "set", annotations, categories)
    (photograph,) = read_photographs(folder)  # The second says left of a right hand.
    assert photograph.is_right.tolist() == [False, True]
    annotations = [{**bare, "attributes": {"handedness": "Right"}}]
    folder = write_set(tmp_path / "set", annotations, [{"id": 1, "name": "hand"}])
    assert read_photographs(folder)[0].is_right.tolist() == [True]


def test_images_of_one_id_or_one_file_are_left_out_with_their_hands(tmp_path, caplog):
    folder = write_set(
        tmp_path / "set", [hand(1), hand(2), hand(3)], files=("a.png", "./a.png", "c.png")
    )
    assert used(folder) == ["c.png"]
    assert "2 that share an id or a file" in caplog.text
    with pytest.raises(ValueError, match="COCO's format"):
        CocoFile.of({"images": [{"id": [1], "file_name": "a.png"}], "annotations": []})


def test_one_hand_annotated_twice_is_one_hand(tmp_path, caplog):
    folder = write_set(tmp_path / "set", [hand(1), hand(1), hand(1, POINTS + 9), hand(9)])
    assert read_photographs(folder)[0].keypoints.shape == (2, 21, 2)
    assert "1 annotations that are there twice" in caplog.text
    assert "1 annotations of images that are not listed" in caplog.text


@pytest.mark.parametrize("size, scale", [((240, 200), 0.5), ((60, 50), 2.0), ((121, 101), 1.0)])
def test_labels_of_another_size_are_scaled(tmp_path, size, scale):
    points = POINTS / scale
    folder = write_set(tmp_path / "set", [hand(1, points)], width=size[0], height=size[1])
    sample = read_photographs(folder)[0].read()
    np.testing.assert_allclose(sample.keypoints_2d[0], (points + 0.5) * scale - 0.5, atol=1)


@pytest.mark.parametrize("size", [(100, 120), (120, 90)])
def test_labels_of_a_turned_or_cut_image_are_left_out(tmp_path, caplog, size):
    folder = write_set(tmp_path / "set", [hand(1), hand(2)], width=size[0], height=size[1])
    assert list(read_samples(read_photographs(folder))) == []
    assert "Skipped 2 of 2 images" in caplog.text and "turned or cut" in caplog.text


def test_hands_outside_of_their_image_are_left_out(tmp_path, caplog):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((100, 120, 3), np.uint8))
    label = {"keypoints": (POINTS + 300).tolist(), "handedness": "left"}
    (tmp_path / "labels.json").write_text(json.dumps({"a.png": label}))
    assert list(read_samples(read_photographs(tmp_path))) == []
    assert "outside of the image" in caplog.text


@pytest.mark.parametrize("images", ["", "images"])
def test_an_export_that_bears_the_other_files_name_is_read(tmp_path, images):
    folder = write_set(tmp_path / "set", [hand(1)], name="labels.json")
    if images:
        (folder / images).mkdir()
        (folder / "a.png").rename(folder / images / "a.png")
    assert used(folder) == ["a.png"]


@pytest.mark.parametrize("text", ["[" * 100000, '{"a.png": null, "a.png": {}}'])
@pytest.mark.parametrize("name", ["labels.json", "hands.json"])
def test_deep_and_ambiguous_files_are_named(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(HandmeshError, match=f"{name}.*(nested too deeply|twice)"):
        read_photographs(tmp_path)


def wholebody(folder, change):
    write_coco_wholebody(folder, two_hands())
    path = folder / "annotations" / "coco_wholebody_train_v1.0.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return CocoWholeBody(folder, "train")


@pytest.mark.parametrize("confidence", [0.02, 0.5, 1.0, 2])
def test_confidences_above_zero_are_labels(tmp_path, confidence):
    def change(content):
        points = np.reshape(content["annotations"][0]["lefthand_kpts"], (21, 3))
        points[:, 2] = confidence
        content["annotations"][0]["lefthand_kpts"] = points.ravel().tolist()

    sample = wholebody(tmp_path, change)[0]
    assert sample.visible_fraction[0] > 0.9 and sample.keypoints_visible[0].all()


def test_a_hand_without_one_keypoint_is_neither_demanded_nor_forbidden(tmp_path):
    def change(content):
        person = content["annotations"][0]
        other = dict(person, id=9, lefthand_kpts=[0.0] * 3 + person["lefthand_kpts"][3:])
        content["annotations"].append(other)

    sample = wholebody(tmp_path, change)[0]
    assert (sample.visible_fraction > 0).tolist().count(True) == 1


@pytest.mark.parametrize(
    "category, kept", [({"id": 2, "name": "dog"}, 1), ({"id": 2, "name": "person"}, 0)]
)
def test_records_without_hands_count_by_their_category(tmp_path, caplog, category, kept):
    def change(content):
        content["categories"] = [category]
        box = {"id": 5, "image_id": 7, "category_id": 2, "bbox": [0, 0, 9, 9]}
        content["annotations"].append(box)

    if kept:
        assert len(wholebody(tmp_path, change)) == kept
        assert "2 images read, 1 used; left out: 1 with crowds" in caplog.text
    else:
        with pytest.raises(HandmeshError, match="no image with a completely labelled hand"):
            wholebody(tmp_path, change)
        assert "1 with people whose hands nobody looked at" in caplog.text


def test_plain_coco_under_the_sets_name_is_refused(tmp_path):
    def change(content):
        for person in content["annotations"]:
            del person["lefthand_valid"]

    with pytest.raises(HandmeshError, match="no image with a completely"):
        wholebody(tmp_path, change)

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from drawn_hands import open_hand_keypoints

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import KEYPOINT_NAMES
from handmesh_ros.training.data.composition.photographs import find_sets, read_photographs
from handmesh_ros.training.data.readers.hand_labels import (
    LabelledHand,
    LabelledImage,
    read_hand_labels,
    read_labelled_images,
    write_hand_labels,
)
from handmesh_ros.training.data.readers.pseudo_labels import (
    FoundHand,
    hands_of_result,
    label_hands,
)

IMAGE = np.zeros((100, 120, 3), np.uint8)
POINTS = open_hand_keypoints().astype(np.float32)
WORLD = np.linspace(-0.08, 0.08, 63, dtype=np.float32).reshape(21, 3)


def looks(*hands):
    """A detector that finds given hands; it knows the mirror image by its bright left side."""
    image = IMAGE.copy()
    image[:, -1] = 255

    def find(seen):
        if seen[0, 0, 0] == 0:
            return [FoundHand(p, right, score, WORLD) for p, right, score, *_ in hands]
        found = []
        for points, right, score, shift in hands:
            mirrored = points * (-1, 1) + (119, 0) + shift
            world = (WORLD + (0.002, 0, 0)) * (-1, 1, 1)
            found.append(FoundHand(mirrored.astype(np.float32), not right, score, world))
        return found

    return image, find


def test_two_looks_that_agree_make_a_label():
    image, find = looks((POINTS, True, 0.95, (2, 0)))
    (hand,) = label_hands(image, find, 0.8)
    np.testing.assert_allclose(hand.keypoints, POINTS - (1, 0), atol=1e-4)
    assert hand.is_right and hand.score == pytest.approx(0.95)
    np.testing.assert_allclose(hand.world, WORLD + (0.001, 0, 0), atol=1e-6)


@pytest.mark.parametrize("score, shift", [(0.95, (30, 0)), (0.5, (0, 0)), (0.95, (200, 0))])
def test_doubtful_hands_are_listed_without_keypoints(score, shift):
    image, find = looks((POINTS, True, score, shift))
    hands = label_hands(image, find, 0.8)
    assert hands and all(hand.keypoints is None for hand in hands)


def test_looks_that_differ_in_side_make_no_label():
    image, find = looks((POINTS, True, 0.9, (0, 0)))
    stubborn = [FoundHand(POINTS * (-1, 1) + (119, 0), True, 0.9, WORLD)]
    (hand,) = label_hands(image, lambda seen: find(seen) if not seen[0, 0, 0] else stubborn, 0.8)
    assert hand.keypoints is None


def test_mediapipe_sides_are_swapped_and_pixels_are_centred():
    landmarks = SimpleNamespace(landmark=[SimpleNamespace(x=0.5, y=0.25)] * 21)
    space = SimpleNamespace(landmark=[SimpleNamespace(x=0.01, y=0.02, z=0.03)] * 21)
    side = SimpleNamespace(classification=[SimpleNamespace(label="Left", score=0.9)])
    result = SimpleNamespace(
        multi_hand_landmarks=[landmarks],
        multi_hand_world_landmarks=[space],
        multi_handedness=[side],
    )
    (hand,) = hands_of_result(result, 200, 100)
    assert hand.is_right
    np.testing.assert_allclose(hand.keypoints[0], [99.5, 24.5])
    np.testing.assert_allclose(hand.world[20], [0.01, 0.02, 0.03], rtol=1e-6)
    nothing = SimpleNamespace(
        multi_hand_landmarks=None, multi_hand_world_landmarks=None, multi_handedness=None
    )
    assert hands_of_result(nothing, 200, 100) == []


@pytest.fixture
def labelled(tmp_path):
    """A folder with a labelled image, one with a doubtful hand, one without hands."""
    box = np.array([10, 10, 90, 90], np.float32)
    good = LabelledHand(POINTS, box, False, 0.9, WORLD)
    doubtful = LabelledHand(None, box, True, 0.4)
    names = {"sub/a.png": [good], "b.png": [good, doubtful], "c.png": []}
    (tmp_path / "sub").mkdir()
    for name in names:
        cv2.imwrite(str(tmp_path / name), IMAGE)
    images = [LabelledImage(name, 120, 100, hands) for name, hands in names.items()]
    write_hand_labels(tmp_path / "hands.json", images, "a test")
    return tmp_path


def test_labels_are_read_back_as_a_set(labelled, caplog):
    assert find_sets(labelled) == [labelled]
    (photograph,) = read_photographs(labelled)
    assert photograph.name == "sub/a.png"
    np.testing.assert_allclose(photograph.keypoints[0], POINTS, atol=0.01)
    assert photograph.is_right.tolist() == [False]
    np.testing.assert_allclose(photograph.world[0], WORLD, atol=1e-4)
    assert photograph.read().image.shape == (100, 120, 3)
    assert "2 without a usable label for every hand" in caplog.text


def test_the_file_is_in_cocos_format(labelled):
    content = json.loads((labelled / "hands.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["sub/a.png", "b.png", "c.png"]
    assert content["categories"][0]["keypoints"] == list(KEYPOINT_NAMES)
    first, _, doubtful = content["annotations"]
    assert first["num_keypoints"] == 21 and len(first["keypoints"]) == 63
    assert first["bbox"] == [10, 10, 80, 80] and first["area"] == 6400
    assert doubtful["num_keypoints"] == 0 and not any(doubtful["keypoints"])


def test_places_to_be_ignored_leave_their_image_in(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), IMAGE)
    box = np.array([10, 20, 40, 60], np.float32)
    hands = [
        LabelledHand(POINTS, box, True, 0.9, WORLD),
        LabelledHand(None, box + 5, False, 0.3, is_ignored=True),
    ]
    write_hand_labels(tmp_path / "hands.json", [LabelledImage("a.png", 120, 100, hands)], "a test")
    annotations = json.loads((tmp_path / "hands.json").read_text())["annotations"]
    assert [annotation["iscrowd"] for annotation in annotations] == [0, 1]
    (photograph,) = read_photographs(tmp_path)
    np.testing.assert_allclose(photograph.ignored, [box + 5])
    assert len(photograph.read()) == 1
    sample = photograph.read(with_joints=True, with_ignored=True)
    np.testing.assert_allclose(sample.box[1], box + 5)
    np.testing.assert_allclose(sample.keypoints_2d[1], np.tile([30, 45], (21, 1)))
    assert sample.visible_fraction[1] == 0 and not sample.keypoints_visible[1].any()
    assert sample.joints.shape == (2, 21, 3) and not sample.joints[1].any()


def test_places_to_be_ignored_alone_make_no_label(tmp_path, caplog):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), IMAGE)
    hand = {"keypoints": POINTS.tolist(), "handedness": "left"}
    for wrong in ([{"ignored_box": [1, 2, 3, 4]}], [hand, {"ignored_box": [1, 2, 3]}]):
        (tmp_path / "labels.json").write_text(json.dumps({"a.png": wrong}))
        with pytest.raises(HandmeshError, match="No usable photograph"):
            read_photographs(tmp_path)


def test_labelled_images_are_read_as_they_were_written(tmp_path):
    box = np.array([10, 20, 40, 60], np.float32)
    hands = [
        LabelledHand(POINTS, box, True, 0.9, WORLD),
        LabelledHand(None, box, False, 0.25),
        LabelledHand(None, box, False, 0.5, is_ignored=True),
    ]
    images = [LabelledImage("a.png", 120, 100, hands), LabelledImage("b.png", 9, 8, [])]
    write_hand_labels(tmp_path / "one.json", images, "a test")
    source, read = read_labelled_images(tmp_path / "one.json")
    assert source == "a test"
    write_hand_labels(tmp_path / "two.json", read, source)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    np.testing.assert_allclose(read[0].hands[0].keypoints, POINTS, atol=0.01)


@pytest.mark.parametrize("keypoints", [[], [1.0] * 60, [1.0, 2.0, 0.0] * 21])
def test_empty_labels_and_wrong_keypoint_counts_are_no_labels(labelled, keypoints):
    file = labelled / "hands.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["keypoints"] = keypoints
    file.write_text(json.dumps(content))
    with pytest.raises(HandmeshError, match="No usable photograph"):
        read_photographs(labelled)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"images": []}', '{"images": [{}], "annotations": []}']
)
def test_files_cut_short_are_named(tmp_path, text):
    (tmp_path / "hands.json").write_text(text)
    with pytest.raises(HandmeshError, match="hands.json is no complete list"):
        read_hand_labels(tmp_path / "hands.json")


def test_labels_that_are_no_object_are_named(tmp_path):
    (tmp_path / "labels.json").write_text("[]")
    with pytest.raises(HandmeshError, match="maps images to hands"):
        read_photographs(tmp_path)


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("categories", {"keypoints": True}),
        ("annotations", {"category_id": []}),
        ("annotations", {"bbox": {"x": 1}}),
    ],
)
def test_values_of_other_types_are_left_out_or_refused(tmp_path, section, change):
    points = sum(([10 + n, 20 + n, 2] for n in range(21)), [])
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": points}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}],
        "categories": [{"id": 1, "name": "hand", "keypoints": list(KEYPOINT_NAMES)}],
        "annotations": [{**annotation, "bbox": [10, 20, 30, 30]}],
    }
    content[section][0].update(change)
    path = tmp_path / "hands.json"
    path.write_text(json.dumps(content))
    try:
        found = read_hand_labels(path)
    except HandmeshError as problem:
        assert "COCO" in str(problem)
        return
    hands = [hand for several in found.labels.values() for hand in several]
    assert section == "annotations" or all(hand.get("keypoints") is None for hand in hands)
    assert section == "categories" or hands == [] or "bbox" in change

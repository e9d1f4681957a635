import json
import pickle
import shutil

import numpy as np
import pytest
from published_sets import (
    FOCAL,
    pixels,
    two_hands,
    write_coco_wholebody,
    write_freihand,
    write_ho3d,
    write_interhand,
    write_rhd,
)

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.data.readers.published import READERS, open_published

RIGHT, LEFT = 0, 1
"""Rows of `two_hands`."""


@pytest.fixture(scope="module")
def hands():
    return two_hands()


WRITERS = {
    "freihand": write_freihand,
    "ho3d": write_ho3d,
    "interhand": write_interhand,
    "rhd": write_rhd,
    "coco-wholebody": write_coco_wholebody,
}

FIRST_IMAGES = {
    "freihand": "training/rgb/00000000.jpg",
    "ho3d": "train/ABF10/rgb/0000.png",
    "interhand": "images/train/Capture0/ROM01/cam400/image0.jpg",
    "rhd": "training/color/00000.png",
    "coco-wholebody": "train2017/000000000007.jpg",
}


@pytest.fixture(params=WRITERS)
def any_set(request, tmp_path, hands):
    WRITERS[request.param](tmp_path, hands)
    return request.param, tmp_path


def check(sample, joints):
    np.testing.assert_allclose(sample.joints, joints, atol=1e-5)
    np.testing.assert_allclose(sample.translation, joints[:, 0], atol=1e-5)
    np.testing.assert_allclose(sample.keypoints_2d, pixels(joints), atol=0.01)
    np.testing.assert_allclose(sample.intrinsics, [FOCAL, FOCAL, 31.5, 31.5], atol=1e-4)
    assert sample.image[0, 0].argmax() == 0, "the image is RGB"
    assert not sample.has_3d.any()


def test_freihand(tmp_path, hands):
    write_freihand(tmp_path, hands)
    published = open_published("freihand", tmp_path)
    assert len(published) == 4
    check(published[3], hands[[RIGHT]])
    assert published[3].is_right.tolist() == [1]
    assert (published[3].mask == 1).all()
    evaluation = open_published("freihand", tmp_path, "evaluation")
    check(evaluation[0], hands[[RIGHT]])
    (tmp_path / "evaluation_xyz.json").unlink()
    unlabelled = open_published("freihand", tmp_path, "evaluation", need_labels=False)
    assert len(unlabelled[0]) == 0 and not unlabelled.has_labels


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_ho3d_versions_2_and_3(tmp_path, hands, suffix):
    write_ho3d(tmp_path, hands, suffix)
    check(open_published("ho3d", tmp_path)[1], hands[[RIGHT]])
    check(open_published("ho3d", tmp_path, "evaluation")[0], hands[[RIGHT]])


def test_a_ho3d_frame_without_a_label_is_named(tmp_path, hands):
    write_ho3d(tmp_path, hands)
    path = tmp_path / "train" / "ABF10" / "meta" / "0001.pkl"
    labels = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps({**labels, "handJoints3D": None}, protocol=2))
    with pytest.raises(HandmeshError, match="ABF10/0001 of HO-3D has no hand label"):
        open_published("ho3d", tmp_path)[1]


def test_interhand_has_one_or_two_hands_and_leaves_out_partial_ones(tmp_path, hands, caplog):
    write_interhand(tmp_path, hands)
    published = open_published("interhand", tmp_path)
    assert len(published) == 2
    assert "3 images read, 2 used; left out: 1 in which a hand lacks joints" in caplog.text
    check(published[0], hands[[RIGHT]])
    check(published[1], hands[[RIGHT, LEFT]])
    assert published[1].is_right.tolist() == [1, 0]


def test_the_first_release_of_interhand_is_read_too(tmp_path, hands):
    write_interhand(tmp_path, hands)
    (tmp_path / "annotations" / "train").rename(tmp_path / "annotations" / "all")
    assert len(open_published("interhand", tmp_path)) == 2


def test_rhd_shows_the_hands_of_its_mask(tmp_path, hands):
    write_rhd(tmp_path, hands)
    published = open_published("rhd", tmp_path)
    check(published[0], hands[[LEFT]])
    assert published[0].is_right.tolist() == [0]
    assert np.flatnonzero(published[0].keypoints_visible[0] == 0).tolist() == [2]
    check(published[1], hands[[LEFT, RIGHT]])
    assert published[1].is_right.tolist() == [0, 1]
    assert np.unique(published[1].mask).tolist() == [0, 1, 2]


def test_coco_wholebody_ignores_hands_that_nobody_labelled(tmp_path, hands):
    write_coco_wholebody(tmp_path, hands)
    published = open_published("coco-wholebody", tmp_path)
    assert len(published) == 1
    sample = published[0]
    assert sample.is_right.tolist() == [0, 1]
    np.testing.assert_allclose(sample.keypoints_2d[0], pixels(hands[LEFT]), atol=0.01)
    assert sample.keypoints_visible.tolist() == [[1] * 21, [0] * 21]
    assert sample.visible_fraction[0] > 0.9 and sample.visible_fraction[1] == 0
    np.testing.assert_allclose(sample.box[1], [30, 32.5, 45, 47.5])


def test_a_missing_file_is_named(any_set):
    name, folder = any_set
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    needed = [
        path
        for path in files
        if path.suffix in (".json", ".txt", ".pickle") and "evaluation" not in path.name
        and not path.name.endswith(("scale.json", "mano.json"))
    ]  # fmt: skip
    assert needed
    for path in needed:
        kept = path.read_bytes()
        path.unlink()
        with pytest.raises(HandmeshError, match=path.name):
            open_published(name, folder)
        path.write_bytes(kept)


def test_an_annotation_cut_short_is_named(any_set):
    name, folder = any_set
    suffixes = {".json", ".pickle"} if name != "ho3d" else {".pkl"}
    for path in [p for p in folder.rglob("*") if p.suffix in suffixes]:
        if "evaluation" in str(path.relative_to(folder)) or path.name.endswith(
            ("scale.json", "mano.json")
        ):
            continue
        kept = path.read_bytes()
        path.write_bytes(kept[: len(kept) // 2])
        with pytest.raises(HandmeshError, match=rf"{path.name} is damaged or cut short"):
            published = open_published(name, folder)
            [published[index] for index in range(len(published))]
        path.write_bytes(kept)


def test_a_broken_and_a_missing_image_are_named(any_set):
    name, folder = any_set
    published = open_published(name, folder)
    path = folder / FIRST_IMAGES[name]
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(HandmeshError, match=f"{path.name} is damaged"):
        published[0]
    path.unlink()
    with pytest.raises(HandmeshError, match="cannot be opened"):
        published[0]


def test_lists_of_different_lengths_are_refused(tmp_path, hands):
    write_freihand(tmp_path, hands)
    (tmp_path / "training_xyz.json").write_text(json.dumps([hands[0].tolist()]))
    with pytest.raises(HandmeshError, match="training_xyz.json lists 1 samples.*cut short"):
        open_published("freihand", tmp_path)


def test_a_wrong_keypoint_count_is_named(tmp_path, hands):
    write_freihand(tmp_path, hands)
    (tmp_path / "training_xyz.json").write_text(json.dumps([hands[0, :20].tolist()] * 2))
    with pytest.raises(HandmeshError, match="instead of 21 joints"):
        open_published("freihand", tmp_path)[0]


def test_pickles_run_no_code(tmp_path, hands):
    write_rhd(tmp_path, hands)
    path = tmp_path / "training" / "anno_training.pickle"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(HandmeshError, match="asks for os.system"):
        open_published("rhd", tmp_path)


def test_splits_and_folders_that_do_not_exist(any_set):
    name, folder = any_set
    with pytest.raises(HandmeshError, match=f"no split 'spring'; take {READERS[name].splits[0]}"):
        open_published(name, folder, "spring")
    shutil.rmtree(folder)
    with pytest.raises(HandmeshError, match="is no folder"):
        open_published(name, folder)

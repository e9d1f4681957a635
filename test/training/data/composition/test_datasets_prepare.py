import functools
import json

import cv2
import numpy as np
import pytest
import torch
from drawn_hands import drawn_photograph

from handmesh_ros.hand.model import HandModel
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.training.data.augment import letterbox
from handmesh_ros.training.data.composition import cutouts, prepare
from handmesh_ros.training.data.composition.cutouts import cut_out_all
from handmesh_ros.training.data.composition.options import CompositeOptions
from handmesh_ros.training.data.composition.photographs import read_photographs
from handmesh_ros.training.data.composition.prepare import (
    CompositeMaker,
    compose,
    store_photographs,
)
from handmesh_ros.training.data.dataset import collate, ignored_hands
from handmesh_ros.training.data.readers.annotated import project
from handmesh_ros.training.data.sample import assumed_intrinsics
from handmesh_ros.training.data.shards import ShardDataset


@pytest.fixture
def photo_set(tmp_path):
    folder = tmp_path / "drawn"
    (folder / "images").mkdir(parents=True)
    sample = drawn_photograph()
    hand = {"keypoints": sample.keypoints_2d[0].tolist(), "handedness": "right"}
    names = ["one.png", "two.png"]
    for name in names:
        cv2.imwrite(str(folder / "images" / name), cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR))
    (folder / "labels.json").write_text(json.dumps({name: hand for name in names}))
    return folder


def test_whole_photographs_come_back_from_their_shards(photo_set, tmp_path):
    assert store_photographs(tmp_path / "out", [photo_set], "all") == 2
    stored = ShardDataset(tmp_path / "out")
    assert len(stored) == 2
    sample, truth = stored[0], drawn_photograph()
    assert sample.source == "drawn/one.png"
    np.testing.assert_allclose(sample.keypoints_2d, truth.keypoints_2d)
    assert np.abs(sample.image.astype(int) - truth.image).mean() < 4


def test_a_shape_in_space_makes_complete_3d_labels(photo_set, tmp_path):
    """All but colours: an open hand that is seen flat."""
    model = HandModel(HandTemplate.bundled())
    flat = torch.eye(3).expand(1, 16, 3, 3)
    joints = model.right_keypoints(flat, torch.zeros(1, 10))[0].numpy()
    upright = joints @ np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])  # palm along the optical axis
    place = upright + np.array([0, 0, 0.4])
    camera = assumed_intrinsics(*drawn_photograph().image.shape[1::-1])
    file = photo_set / "labels.json"
    labels = json.loads(file.read_text())
    labels["two.png"] = {
        "keypoints": project(place, camera).tolist(),
        "handedness": "right",
        "world": upright.tolist(),
    }
    file.write_text(json.dumps(labels))
    store_photographs(tmp_path / "out", [photo_set], "all")
    stored = ShardDataset(tmp_path / "out")
    flat_label, full = stored[0], stored[1]
    assert flat_label.has_3d.tolist() == [0] and not flat_label.joints.any()
    assert full.has_3d.tolist() == [1] and not full.colors.any()
    assert np.linalg.norm(full.joints[0] - place, axis=1).max() < 0.01
    assert np.abs(full.rotations[0, 1:] - np.eye(3)).mean() < 0.05


def test_places_to_be_ignored_are_stored_and_never_a_ground_of_composites(photo_set, tmp_path):
    file = photo_set / "labels.json"
    labels = json.loads(file.read_text())
    labels["two.png"] = [labels["two.png"], {"ignored_box": [5, 6, 45, 66]}]
    file.write_text(json.dumps(labels))
    store_photographs(tmp_path / "out", [photo_set], "all")
    stored = ShardDataset(tmp_path / "out")
    assert [ignored_hands(stored[i]).tolist() for i in range(2)] == [[False], [False, True]]
    np.testing.assert_allclose(stored[1].box[1], [5, 6, 45, 66])
    batch = collate([letterbox(stored[1], 96, 96)])
    assert batch["ignore"][0, :3].tolist() == [False, True, False]
    assert batch["valid"][0, :3].tolist() == [True, True, False]

    grounds = []

    class Maker(CompositeMaker):
        def __init__(self, cutouts, backgrounds, whole, options, seed):
            grounds.extend(photograph.source for photograph in whole)
            assert len(cutouts) == 2
            super().__init__(cutouts, backgrounds, whole, options, seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "CompositeMaker", Maker)
        options = CompositeOptions(size=96)
        compose(tmp_path / "made", 1, seed=3, sources=[photo_set], split="all", options=options)
    assert grounds == ["drawn/one.png"]


def test_composites_are_the_same_whole_or_in_parts(photo_set, tmp_path):
    options = CompositeOptions(size=96)
    settings = {"seed": 3, "sources": [photo_set], "split": "all", "options": options}
    compose(tmp_path / "whole", 4, cache=tmp_path / "cache", **settings)
    compose(tmp_path / "part", 2, first=2, cache=tmp_path / "cache", **settings)
    whole, part = ShardDataset(tmp_path / "whole"), ShardDataset(tmp_path / "part")
    assert (len(whole), len(part)) == (4, 2)
    assert whole[2].key == part[0].key
    np.testing.assert_array_equal(whole[3].image, part[1].image)


def test_cached_cut_outs_equal_fresh_ones(photo_set, tmp_path):
    photographs = read_photographs(photo_set)
    fresh = cut_out_all(photographs, tmp_path / "cache.npz")
    cached = cut_out_all(photographs, tmp_path / "cache.npz")
    assert len(fresh) == len(cached) == 2
    np.testing.assert_array_equal(fresh[1].image, cached[1].image)
    np.testing.assert_array_equal(fresh[1].alpha, cached[1].alpha)
    assert fresh[1].source == cached[1].source == "drawn/two.png"
    only_one = cut_out_all(photographs[:1], tmp_path / "cache.npz")
    assert len(only_one) == 1


def test_several_processes_write_the_same_shards(photo_set, tmp_path, monkeypatch):
    for module in (cutouts, prepare):
        everywhere = functools.partial(module.in_processes, fewest=1)
        monkeypatch.setattr(module, "in_processes", everywhere)
    settings = {"seed": 3, "sources": [photo_set], "split": "all"}
    settings["options"] = CompositeOptions(size=96)
    for workers in (1, 2):
        compose(tmp_path / str(workers), 4, workers=workers, **settings)
    one, two = (next((tmp_path / n).glob("*.tar")).read_bytes() for n in "12")
    assert one == two


def test_broken_photographs_are_skipped_and_counted(photo_set, caplog):
    photographs = read_photographs(photo_set)
    (photo_set / "images" / "one.png").write_bytes(b"no picture")
    assert [cutout.source for cutout in cut_out_all(photographs)] == ["drawn/two.png"]
    assert "Skipped 1 of 2 images" in caplog.text

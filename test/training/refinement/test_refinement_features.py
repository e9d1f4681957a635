import numpy as np
import pytest
from crop_cases import exact_sample

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.data.shards import ShardWriter
from handmesh_ros.training.refinement.data import load_features
from handmesh_ros.training.refinement.definition import DefinitionShift
from handmesh_ros.training.refinement.features import (
    FeatureOptions,
    changed_light,
    read_shard,
    shard_features,
)

PLAIN = FeatureOptions(mirror=0, light=0)


@pytest.fixture
def shards(tmp_path):
    with ShardWriter(tmp_path / "shards") as writer:
        writer.write(exact_sample(0))
    return tmp_path / "shards"


def test_features_are_computed_once(shards, published, tmp_path, capsys):
    first = shard_features(shards, tmp_path / "features", published, None, PLAIN)
    assert capsys.readouterr().out == "Read 2 crops of shard-000000.\n"
    assert shard_features(shards, tmp_path / "features", published, None, PLAIN) == first
    assert capsys.readouterr().out == ""


def test_other_options_give_other_files(shards, published, tmp_path):
    folder = tmp_path / "features"
    first = shard_features(shards, folder, published, None, PLAIN)
    other = shard_features(shards, folder, published, None, FeatureOptions(2, 0, 0))
    assert first != other
    assert len(load_features(other)["is_hand"]) == 4


def test_the_same_crops_are_drawn_each_time(published):
    varied = FeatureOptions(mirror=0.5, light=0.5)
    one, same = (read_shard([exact_sample(1)], published, None, varied) for _ in range(2))
    for name in one:
        np.testing.assert_array_equal(one[name], same[name])


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    with pytest.raises(HandmeshError, match="are damaged .* delete the file"):
        load_features([tmp_path / "a.npz"])


def test_images_without_hands_are_named(published):
    sample = exact_sample(0).select(np.zeros(0, int))
    with pytest.raises(HandmeshError, match="no hand to learn from"):
        read_shard([sample], published, None, PLAIN)


def test_light_changes_the_image_alone():
    image = exact_sample(0).image
    changed = changed_light(image, np.random.default_rng(0))
    assert changed.shape == image.shape
    assert (changed != image).mean() > 0.5


def definition_case(features, count=120):
    """Landmarks whose wrist is off by a tenth of the way to the thumb."""
    rows = np.random.default_rng(0).integers(0, len(features["is_hand"]), count)
    case = {name: values[rows].copy() for name, values in features.items()}
    turn, shift = case["to_image"][:, :, :2], case["to_image"][:, None, :, 2]
    true = (case["keypoints_2d"] - shift) @ np.linalg.inv(turn).transpose(0, 2, 1)
    wanted = 0.1 * (true[:, 1] - true[:, 0])
    case["landmarks"][..., :2] = true
    case["landmarks"][:, 0, :2] -= wanted
    return case, np.einsum("nij,nj->ni", turn, wanted)


def test_the_difference_of_definitions_is_learnt(features):
    case, wanted = definition_case(features)
    found = DefinitionShift(case).of(case)
    assert (
        np.linalg.norm(found[:, 0] - wanted, axis=1).mean()
        < 0.25 * np.linalg.norm(wanted, axis=1).mean()
    )
    assert np.abs(found[:, 5:]).mean() < 0.2


def test_labels_of_photographs_alone_are_moved(features):
    case, wanted = definition_case(features)
    shift = DefinitionShift(case)
    half = {name: values.copy() for name, values in case.items()}
    half["has_3d"][60:] = 0
    moved = shift.moved(half)["keypoints_2d"] - half["keypoints_2d"]
    assert not moved[:60].any()
    np.testing.assert_allclose(moved[60:], shift.of(case)[60:], atol=1e-3)


def test_too_few_hands_teach_no_difference(features):
    case, _ = definition_case(features, count=20)
    assert not DefinitionShift(case).of(case).any()

import numpy as np
import pytest
import torch
from drawn_hands import drawn_photograph, sample_with_3d
from torch.utils.data import DataLoader

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.data.dataset import (
    MAX_HANDS,
    HandDataset,
    LetterboxDataset,
    Source,
    amplitude_bank,
    collate,
    preview,
)


@pytest.fixture(scope="module")
def sources():
    rng = np.random.default_rng(0)
    exact = [sample_with_3d(rng, hands) for hands in (1, 2, 3)]
    return [Source(exact, 0.7), Source([drawn_photograph()], 0.3)]


def test_every_index_repeats_and_epochs_differ(sources):
    one = HandDataset(sources, length=20, size=96, seed=5)
    other = HandDataset(sources, length=20, size=96, seed=5)
    for index in range(6):
        np.testing.assert_array_equal(one[index].image, other[index].image)
        np.testing.assert_array_equal(one[index].keypoints_2d, other[index].keypoints_2d)
    before = one[3].image
    one.set_epoch(1)
    assert (one[3].image != before).any()


def test_sources_are_drawn_by_weight(sources):
    dataset = HandDataset(sources, length=300, size=32, mosaic=0.0)
    exact = np.mean([dataset[i].source == "made up" for i in range(300)])
    assert 0.6 < exact < 0.8


def test_a_loader_with_workers_gives_what_the_dataset_gives(sources):
    dataset = HandDataset(sources, length=8, size=64, mosaic=0.5)
    alone = collate([dataset[i] for i in range(4)])
    loaded = next(iter(DataLoader(dataset, 4, num_workers=2, collate_fn=collate)))
    for name, values in alone.items():
        assert torch.equal(values, loaded[name]), name


def test_batches_have_their_shapes_and_types(sources):
    dataset = HandDataset(sources, length=8, size=64, mosaic=1.0)
    batch = collate([dataset[i] for i in range(8)])
    shapes = {
        "image": (8, 64, 64, 3),
        "intrinsics": (8, 4),
        "valid": (8, 8),
        "ignore": (8, 8),
        "is_right": (8, 8),
        "has_3d": (8, 8),
        "visible_fraction": (8, 8),
        "keypoints_2d": (8, 8, 21, 2),
        "keypoints_visible": (8, 8, 21),
        "box": (8, 8, 4),
        "joints": (8, 8, 21, 3),
        "rotations": (8, 8, 16, 3, 3),
        "shape": (8, 8, 10),
        "translation": (8, 8, 3),
        "colors": (8, 8, 778, 3),
        "hand_intrinsics": (8, 8, 4),
        "mask_value": (8, 8),
        "mask": (8, 64, 64),
    }
    assert {name: tuple(values.shape) for name, values in batch.items()} == shapes
    for name in ("valid", "ignore", "is_right", "has_3d", "keypoints_visible"):
        assert batch[name].dtype == torch.bool
    assert batch["image"].dtype == batch["colors"].dtype == torch.uint8
    assert not (batch["ignore"] & ~batch["valid"]).any()
    assert torch.isfinite(batch["keypoints_2d"]).all()
    true = batch["valid"] & batch["has_3d"]
    points, cameras = batch["joints"][true], batch["hand_intrinsics"][true][:, None]
    pixels = points[..., :2] / points[..., 2:] * cameras[..., :2] + cameras[..., 2:]
    assert torch.allclose(pixels, batch["keypoints_2d"][true], atol=1e-2)


def test_small_and_hidden_hands_are_ignored():
    sample = sample_with_3d(np.random.default_rng(1), hands=3)
    box = sample.box.copy()
    box[0] = 10, 10, 18, 18
    fraction = np.array([1.0, 0.1, 1.0], np.float32)
    batch = collate([sample.replace(box=box, visible_fraction=fraction)])
    assert batch["ignore"][0].tolist() == [True, True] + [False] * 6
    assert batch["valid"][0].tolist() == [True] * 3 + [False] * 5


def test_of_too_many_hands_the_largest_stay():
    sample = sample_with_3d(np.random.default_rng(2), hands=10)
    extents = (sample.box[:, 2:] - sample.box[:, :2]).max(axis=1)
    visible = sample.replace(visible_fraction=np.ones(10, np.float32))
    batch = collate([visible])
    kept = (batch["box"][0, :, 2:] - batch["box"][0, :, :2]).max(dim=1).values.numpy()
    assert batch["valid"].sum() == MAX_HANDS
    np.testing.assert_allclose(np.sort(kept), np.sort(extents)[-MAX_HANDS:], atol=1e-3)


def test_backgrounds_without_hands_take_their_share(sources):
    dataset = HandDataset(sources, length=60, size=64, mosaic=0.0, empty=0.5, seed=1)
    empty = sum(len(dataset[index]) == 0 for index in range(60))
    assert 15 <= empty <= 45
    assert all(dataset[index].image.shape == (64, 64, 3) for index in range(8))


def test_an_image_without_hands_makes_a_batch():
    sample = drawn_photograph()
    batch = collate([sample.select(np.zeros(1, bool)), sample])
    assert batch["valid"].sum(dim=1).tolist() == [0, 1]


def test_letterbox_dataset_ends_with_its_store(sources):
    dataset = LetterboxDataset(sources[0].samples, size=64)
    assert len(list(dataset)) == 3
    assert dataset[0].image.shape == (64, 64, 3)


def test_sources_without_samples_or_weight_are_refused(sources):
    for bad in ([], [Source([], 1.0)], [Source(sources[0].samples, 0.0)]):
        with pytest.raises(HandmeshError, match="at least one source"):
            HandDataset(bad, length=1)


def test_preview_writes_a_contact_sheet(sources, tmp_path):
    dataset = HandDataset(sources, length=6, size=48)
    preview(dataset, 6, tmp_path / "sheet.png", columns=4)
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_the_bank_of_spectra_has_its_shape(sources):
    assert amplitude_bank(sources[0].samples, count=5).shape == (5, 32, 32, 3)

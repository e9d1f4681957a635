import numpy as np
import torch
from batches import random_batch
from drawn_hands import sample_with_3d
from made_up_shards import tiny_config, write_shards

from handmesh_ros.training.data.composition.twins import mirrored, relit, with_twins
from handmesh_ros.training.data.dataset import collate
from handmesh_ros.training.data.geometry import View, warp_image, warp_labels
from handmesh_ros.training.engine.train import train
from handmesh_ros.training.engine.trainer import HandTrainer


def test_a_mirrored_batch_is_what_the_flipped_view_gives():
    sample = sample_with_3d(np.random.default_rng(0))
    height, width = sample.image.shape[:2]
    fx, fy, cx, cy = sample.intrinsics
    view = View(width, height, np.array([fx, fy, width - 1 - cx, cy], float), flip=True)
    flipped = warp_labels(sample, view).replace(
        image=warp_image(sample.image, view.affine(sample.intrinsics), view),
        mask=np.ascontiguousarray(sample.mask[:, ::-1]),
    )
    expected, found = collate([flipped]), mirrored(collate([sample]))
    there = expected["valid"]
    for name, values in expected.items():
        per_hand = values.shape[:2] == there.shape
        wanted, given = (v[there] if per_hand else v for v in (values, found[name]))
        torch.testing.assert_close(given, wanted, atol=2e-3, rtol=0, msg=name)


def test_light_moves_images_and_colours_alike_and_differs_between_images():
    batch = random_batch(2, 1, 32)
    batch["image"][:] = 120
    batch["colors"][:] = 120
    lit = relit(batch, torch.Generator().manual_seed(0))
    for image, colors in zip(lit["image"], lit["colors"], strict=True):
        (tone,) = image.reshape(-1, 3).unique(dim=0)
        assert (colors == tone).all() and (tone != 120).any()
    assert (lit["image"][0, 0, 0] != lit["image"][1, 0, 0]).any()
    torch.testing.assert_close(lit["keypoints_2d"], batch["keypoints_2d"])


def test_twins_come_after_their_originals_and_repeat_with_the_seed():
    batch = random_batch(3, 2, 32)
    one, two = (with_twins(batch, torch.Generator().manual_seed(5)) for _ in range(2))
    for name, values in batch.items():
        assert len(one[name]) == 6
        torch.testing.assert_close(one[name][:3], values)
        torch.testing.assert_close(one[name], two[name])
    assert (one["is_right"][3:] != batch["is_right"]).all()


def test_training_steps_see_twins_and_validation_does_not(tmp_path, monkeypatch):
    write_shards(tmp_path / "made_up", count=4)
    changes = {"data.twins": True, "optimisation.steps": 2, "epoch_steps": 2}
    config = tiny_config(tmp_path / "tiny.yaml", **changes)
    seen = {True: set(), False: set()}
    compute = HandTrainer.compute_losses

    def noted(self, batch, jitter):
        seen[jitter].add(len(batch["image"]))
        return compute(self, batch, jitter)

    monkeypatch.setattr(HandTrainer, "compute_losses", noted)
    train(config, tmp_path, tmp_path / "run")
    assert seen == {True: {4}, False: {4}}

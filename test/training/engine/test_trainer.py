import dataclasses

import pytest
import torch
from batches import random_batch
from made_up_shards import SIZE, tiny_config, write_shards

from handmesh_ros.errors import HandmeshError
from handmesh_ros.network.checkpoint import load_network
from handmesh_ros.network.config import NetworkConfig
from handmesh_ros.training.config import TrainingConfig
from handmesh_ros.training.engine.train import train
from handmesh_ros.training.engine.trainer import HandTrainer, ResumableSampler
from handmesh_ros.training.losses.supervised import LossWeights


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_shards(folder / "made_up")
    return folder


@pytest.fixture(scope="module")
def checkpoint(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return train(tiny_config(folder / "tiny.yaml"), data, folder / "whole")


@pytest.mark.parametrize("steps", [3, 4])
def test_a_killed_run_ends_with_the_same_weights(data, checkpoint, tmp_path, steps):
    """Stopped in the middle or at the end of an epoch of 4, then again to the end."""
    config = tiny_config(tmp_path / "tiny.yaml")
    train(config, data, tmp_path / "killed", max_steps=steps)
    resumed = train(config, data, tmp_path / "killed")
    first = torch.load(checkpoint, weights_only=True)
    second = torch.load(resumed, weights_only=True)
    assert first["global_step"] == second["global_step"] == 6
    for name, values in first["state_dict"].items():
        torch.testing.assert_close(second["state_dict"][name], values, rtol=0, atol=0)


def test_the_last_step_is_saved_though_no_checkpoint_is_due(data, checkpoint, tmp_path):
    """Otherwise such a run could never be completed; the averaged weights are the same."""
    config = dataclasses.replace(tiny_config(tmp_path / "tiny.yaml"), checkpoint_steps=4)
    last = train(config, data, tmp_path / "run")
    first, second = (torch.load(path, weights_only=True) for path in (checkpoint, last))
    assert second["global_step"] == 6
    for name, values in first["state_dict"].items():
        torch.testing.assert_close(second["state_dict"][name], values, rtol=0, atol=0)


def test_training_starts_from_another_run(data, checkpoint, tmp_path):
    config = tiny_config(tmp_path / "tiny.yaml", start_from=str(checkpoint))
    config = dataclasses.replace(
        config, optimisation=dataclasses.replace(config.optimisation, learning_rate=0.0)
    )
    last = train(config, data, tmp_path / "second", max_steps=1)
    before = load_network(checkpoint).state_dict()
    after = load_network(last).state_dict()
    torch.testing.assert_close(after["heads.side.weight"], before["heads.side.weight"])


def test_the_loss_falls_on_one_batch():
    torch.manual_seed(0)
    config = NetworkConfig(input_size=SIZE, channels=16, hidden=32, color_rank=4)
    trainer = HandTrainer(config, LossWeights(), pretrained=False)
    trainer.train()
    batch = random_batch(4, 2, SIZE)
    optimizer = torch.optim.Adam(trainer.parameters(), 2e-3)
    totals = []
    for _ in range(12):
        losses = trainer.compute_losses(batch, jitter=False)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.7 * totals[0]


def test_frozen_stages_do_not_move():
    trainer = HandTrainer(
        NetworkConfig(input_size=SIZE, backbone="resnet50"),
        LossWeights(),
        frozen_stages=2,
        pretrained=False,
    ).train()
    frozen = trainer.network.backbone.stem[0].weight
    free = trainer.network.neck.lateral[0][0].weight
    assert not frozen.requires_grad and free.requires_grad
    assert not trainer.network.backbone.stem[1].training


def test_a_part_can_be_trained_alone():
    config = NetworkConfig(input_size=SIZE, channels=16, hidden=32, color_rank=4)
    trainer = HandTrainer(config, LossWeights(), only="heads.color", pretrained=False)
    trained = {name for name, p in trainer.network.named_parameters() if p.requires_grad}
    assert trained and all(name.startswith("heads.color") for name in trained)
    assert not any(m.training for m in trainer.network.modules())
    sum(trainer.compute_losses(random_batch(2, 2, SIZE), jitter=True).values()).backward()
    assert trainer.network.heads.color_patterns.weight.grad.abs().max() > 0
    with pytest.raises(HandmeshError, match="No parameter of the network starts with 'heads.hue'"):
        HandTrainer(config, LossWeights(), only="heads.hue", pretrained=False)


def test_a_batch_without_hands_trains():
    trainer = HandTrainer(
        NetworkConfig(input_size=SIZE, channels=16, hidden=32), LossWeights(), pretrained=False
    ).train()
    batch = random_batch(2, 1, SIZE)
    batch["valid"][:] = False
    losses = trainer.compute_losses(batch, jitter=True)
    assert all(torch.isfinite(value) for value in losses.values())
    assert losses["keypoints"].item() == 0


def test_sampler_goes_on_and_splits_between_processes():
    assert list(ResumableSampler(12)) == list(range(12))
    assert list(ResumableSampler(12, lambda: 17)) == list(range(17, 24))
    parts = [list(ResumableSampler(12, lambda: 12, rank, 3)) for rank in range(3)]
    assert sorted(sum(parts, [])) == list(range(12, 24))
    assert all(len(part) == 4 for part in parts)


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("name: [", "not valid YAML"),
        ("nmae: x", "no setting 'nmae'"),
        ("network: {input_size: big}", "must be of type int"),
        ("network: {input_size: 100}", "multiple of 32"),
        ("network: {input_height: 64}", "training images are square"),
        ("data: {train: nowhere}", "must be a list"),
        ("optimisation: 3", "must be a mapping"),
    ],
)
def test_wrong_configurations_are_refused_in_a_sentence(tmp_path, text, complaint):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(HandmeshError, match=complaint):
        TrainingConfig.load(path)


def test_overrides_reach_nested_fields(tmp_path):
    config = tiny_config(tmp_path / "tiny.yaml", **{"optimisation.steps": 9, "seed": 3})
    assert config.optimisation.steps == 9 and config.seed == 3
    with pytest.raises(HandmeshError, match="no '='"):
        TrainingConfig.load(tmp_path / "tiny.yaml", ("seed",))


def test_missing_configuration_or_checkpoint_is_a_sentence(tmp_path):
    with pytest.raises(HandmeshError, match="Cannot read"):
        TrainingConfig.load(tmp_path / "none.yaml")
    with pytest.raises(HandmeshError, match="no checkpoint"):
        load_network(tmp_path / "none.ckpt")
    (tmp_path / "bad.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(HandmeshError, match="not a training checkpoint"):
        load_network(tmp_path / "bad.ckpt")

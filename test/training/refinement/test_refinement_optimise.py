import numpy as np
import pytest
import torch

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.checkpoint import load_any
from handmesh_ros.network.refinement import RefinementNetwork
from handmesh_ros.training.refinement.data import CropData, reading_of
from handmesh_ros.training.refinement.optimise import BEST, LAST, LOG, Run
from handmesh_ros.training.refinement.settings import Optimisation

FEW = Optimisation(steps=4, batch_size=16, check_steps=2, warmup_steps=1, learning_rate=1e-3)


@pytest.fixture(scope="module")
def data(features, tmp_path_factory):
    file = tmp_path_factory.mktemp("features") / "some.npz"
    np.savez(file, **features)
    return CropData([file], [])


def new_run(data, published, optimisation=FEW):
    network = RefinementNetwork(HandTemplate.bundled())
    network.load_state_dict(published.state_dict())
    network.pose.fit_scales(reading_of(data.some(30)))
    return Run(network, data, optimisation)


def test_images_that_are_held_out_are_not_trained_on(data, features):
    out = int((features["image"] % 20 == 19).sum())
    assert len(data.held_out["is_hand"]) == out > 0
    assert len(data) == len(features["image"]) - out


def test_a_batch_depends_on_its_step_alone(data):
    one, same, other = data.batch(8, 3, 0), data.batch(8, 3, 0), data.batch(8, 4, 0)
    torch.testing.assert_close(one["to_image"], same["to_image"])
    assert not torch.equal(one["to_image"], other["to_image"])


def test_a_small_set_can_be_learnt_by_heart(data, published):
    run = new_run(data, published, Optimisation(steps=10_000, batch_size=38, warmup_steps=1))
    losses = [run.advance() for _ in range(80)]
    for name in ("total", "side", "keypoints", "trust", "reprojection"):
        assert losses[-1][name] < 0.75 * losses[0][name], name
    assert losses[-1]["rotations"] < 0.9 * losses[0]["rotations"]


def test_the_landmark_network_stays_as_it_is(data, published):
    run = new_run(data, published)
    run.advance()
    changed = {
        name
        for name, values in run.network.state_dict().items()
        if not torch.equal(values, published.state_dict()[name])
    }
    assert changed
    assert all(name.startswith(("pose.", "colours.")) for name in changed)


def test_only_the_parts_that_are_named_are_trained(data, published):
    run = new_run(data, published, Optimisation(steps=4, batch_size=16, only=("pose.trust",)))
    before = {name: values.clone() for name, values in run.network.state_dict().items()}
    run.advance()
    after = run.network.state_dict()
    changed = {name for name, values in after.items() if not torch.equal(values, before[name])}
    assert changed == {"pose.trust.weight", "pose.trust.bias"}


def test_parts_that_do_not_exist_are_refused(data, published):
    with pytest.raises(HandmeshError, match="No parameter of the network starts with nose"):
        new_run(data, published, Optimisation(only=("nose",)))


def test_a_run_resumes_where_it_was(data, published, tmp_path):
    whole = new_run(data, published)
    assert whole.train(tmp_path, tell=lambda text: None)
    again = new_run(data, published)
    again.advance()
    again.advance()
    again.save(tmp_path / "middle.ckpt")
    resumed = new_run(data, published)
    resumed.resume(tmp_path / "middle.ckpt")
    assert resumed.step == 2
    resumed.advance()
    resumed.advance()
    for name, values in whole.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[name], values, msg=name)


def test_a_run_leaves_weights_that_can_be_exported(data, published, tmp_path):
    said = []
    assert new_run(data, published).train(tmp_path, tell=said.append)
    assert "step 4: loss" in said[-1]
    assert len((tmp_path / LOG).read_text().splitlines()) == 2
    for name in (BEST, LAST):
        assert isinstance(load_any(tmp_path / name), RefinementNetwork)


def test_a_run_can_be_stopped(data, published, tmp_path):
    assert not new_run(data, published).train(tmp_path, max_minutes=0)
    assert (tmp_path / LAST).exists()


def test_checkpoints_of_other_runs_are_refused(data, published, tmp_path):
    run = new_run(data, published)
    run.save(tmp_path / LAST)
    other = new_run(data, published, Optimisation(steps=7))
    with pytest.raises(HandmeshError, match="other settings"):
        other.resume(tmp_path / LAST)
    torch.save({"hyper_parameters": {}}, tmp_path / LAST)
    with pytest.raises(HandmeshError, match="no checkpoint of this training"):
        run.resume(tmp_path / LAST)

import argparse
from dataclasses import asdict

import onnx
import pytest
import torch

from handmesh_ros.cli.training.export import add_arguments, run
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.sidecar import Sidecar
from handmesh_ros.network.checkpoint import interface_of, load_network
from handmesh_ros.network.config import NetworkConfig
from handmesh_ros.network.model import HandNetwork
from handmesh_ros.training.export import export as exporting


def test_another_ending_is_refused_before_anything_is_written(tmp_path):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["weights.ckpt", str(tmp_path / "model.txt")])
    with pytest.raises(HandmeshError, match=r"must end with \.onnx or \.ckpt"):
        run(args)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def trained(tmp_path):
    """A small checkpoint as training leaves it, and its network."""
    config = NetworkConfig(
        input_size=64, channels=16, hidden=32, lifter_hidden=16, color_rank=4, max_hands=2
    )
    network = HandNetwork(config, HandTemplate.bundled())
    state = {f"network.{name}": values for name, values in network.state_dict().items()}
    content = {"state_dict": state, "hyper_parameters": {"network": asdict(config)}}
    torch.save({**content, "optimizer_states": [state]}, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt", network


def export_with(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args([str(argument) for argument in arguments]))


def test_weights_alone_are_small_and_give_the_same_network(trained, tmp_path):
    checkpoint, network = trained
    weights = tmp_path / "w" / "a.ckpt"
    assert export_with(checkpoint, weights) == 0
    assert weights.stat().st_size < 0.6 * checkpoint.stat().st_size
    for name, values in load_network(weights).state_dict().items():
        torch.testing.assert_close(values, network.state_dict()[name], atol=1e-3, rtol=1e-3)


def test_another_input_size_is_the_same_network_on_other_pixels(trained, tmp_path, monkeypatch):
    checkpoint, network = trained
    assert export_with(checkpoint, tmp_path / "a.ckpt", "--input-size", "96") == 0
    for loaded in (load_network(tmp_path / "a.ckpt"), load_network(checkpoint, (96, 96))):
        assert loaded.config.input_size == 96
        names = zip(loaded.state_dict().items(), network.state_dict().items(), strict=True)
        for (name, values), (_, expected) in names:
            torch.testing.assert_close(values, expected, atol=1e-3, rtol=1e-3, msg=name)
    # The graph itself is costly; that of the next test is written for real.
    handed_over = []
    monkeypatch.setattr(
        exporting, "export", lambda network, path, **_: handed_over.append(network) or checkpoint
    )
    assert export_with(checkpoint, tmp_path / "a.onnx", "--input-size", "96") == 0
    assert interface_of(handed_over[0])[1] == (96, 96)


@pytest.mark.slow
def test_a_landscape_graph_in_float16_is_written_and_checked(trained, tmp_path):
    checkpoint, _ = trained
    options = ["--input-size", "128x64", "--precision", "float16"]
    assert export_with(checkpoint, tmp_path / "a.onnx", *options) == 0
    sidecar = Sidecar.read(tmp_path / "a.json")
    assert sidecar.input_size == (64, 128) and sidecar.precision == "float16"
    graph = onnx.load(tmp_path / "a.onnx").graph
    weights = [value.data_type for value in graph.initializer if len(value.dims) == 4]
    assert set(weights) == {onnx.TensorProto.FLOAT16}
    assert {value.type.tensor_type.elem_type for value in graph.output} == {onnx.TensorProto.FLOAT}


def test_landscape_weights_are_of_width_x_height(trained, tmp_path):
    checkpoint, _ = trained
    assert export_with(checkpoint, tmp_path / "a.ckpt", "--input-size", "128x64") == 0
    assert load_network(tmp_path / "a.ckpt").config.input_shape == (64, 128)


@pytest.mark.parametrize("size", ["wide", "64x", "64x64x64", "-64", "6.4e1"])
def test_a_size_that_is_none_is_refused(trained, tmp_path, size, capsys):
    with pytest.raises(SystemExit):
        export_with(trained[0], tmp_path / "a.onnx", f"--input-size={size}")
    assert "neither a number of pixels nor WIDTHxHEIGHT" in capsys.readouterr().err


def test_a_size_that_the_trunk_cannot_halve_is_refused(trained, tmp_path):
    checkpoint, _ = trained
    with pytest.raises(HandmeshError, match="multiple of 32"):
        export_with(checkpoint, tmp_path / "a.ckpt", "--input-size", "100")
    assert not (tmp_path / "a.ckpt").exists()


def test_a_checkpoint_from_before_the_lifter_still_loads(trained, tmp_path):
    checkpoint, _ = trained
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"] = {
        name: values for name, values in content["state_dict"].items() if "lifter" not in name
    }
    torch.save(content, tmp_path / "old.ckpt")
    assert load_network(tmp_path / "old.ckpt").lifter.change.weight.abs().max() == 0
    del content["state_dict"]["network.heads.shape.weight"]
    torch.save(content, tmp_path / "broken.ckpt")
    with pytest.raises(HandmeshError, match="do not fit this version"):
        load_network(tmp_path / "broken.ckpt")


def test_the_mean_of_weights_lies_between_them(trained, tmp_path):
    checkpoint, network = trained
    content = torch.load(checkpoint, weights_only=True)
    state = content["state_dict"]
    content["state_dict"] = {
        name: values + 2.0 if values.is_floating_point() else values
        for name, values in state.items()
    }
    torch.save(content, tmp_path / "other.ckpt")
    mean = tmp_path / "mean.ckpt"
    assert export_with(checkpoint, mean, "--mean-with", tmp_path / "other.ckpt") == 0
    for name, values in load_network(mean).state_dict().items():
        expected = network.state_dict()[name]
        if values.is_floating_point():
            expected = expected + 1.0
        torch.testing.assert_close(values, expected, atol=1e-2, rtol=1e-2, msg=name)


def test_only_weights_of_one_network_have_a_mean(trained, tmp_path):
    checkpoint, _ = trained
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["network.heads.shape.weight"] = torch.zeros(10, 7)
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(HandmeshError, match=r"other\.ckpt and .*last\.ckpt have other weights"):
        export_with(checkpoint, tmp_path / "a.ckpt", "--mean-with", tmp_path / "other.ckpt")
    with pytest.raises(HandmeshError, match=r"give a \.ckpt"):
        export_with(checkpoint, tmp_path / "a.onnx", "--mean-with", checkpoint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.ckpt", "other.ckpt"]

import argparse
from dataclasses import asdict

import pytest
import torch

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.config import NetworkConfig
from handmesh_ros.network.model import HandNetwork
from handmesh_ros.training.checkpoint import load_network
from handmesh_ros.training.export import add_arguments, run


def test_another_ending_is_refused_before_anything_is_written(tmp_path):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["weights.ckpt", str(tmp_path / "model.txt")])
    with pytest.raises(HandmeshError, match=r"must end with \.onnx"):
        run(args)
    assert not list(tmp_path.iterdir())


def test_weights_alone_are_small_and_give_the_same_network(tmp_path):
    config = NetworkConfig(input_size=64, channels=16, hidden=32, color_rank=4)
    network = HandNetwork(config, HandTemplate.bundled())
    state = {f"network.{name}": values for name, values in network.state_dict().items()}
    content = {"state_dict": state, "hyper_parameters": {"network": asdict(config)}}
    torch.save({**content, "optimizer_states": [state]}, tmp_path / "last.ckpt")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert (
        run(parser.parse_args([str(tmp_path / "last.ckpt"), str(tmp_path / "w" / "a.ckpt")])) == 0
    )
    weights = tmp_path / "w" / "a.ckpt"
    assert weights.stat().st_size < 0.6 * (tmp_path / "last.ckpt").stat().st_size
    for name, values in load_network(weights).state_dict().items():
        torch.testing.assert_close(values, network.state_dict()[name], atol=1e-3, rtol=1e-3)

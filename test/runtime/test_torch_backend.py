from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.runtime.backend import open_backend, output_shapes
from handmesh_ros.runtime.estimator import Estimator

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from handmesh_ros.network.config import NetworkConfig
    from handmesh_ros.network.model import HandNetwork

    config = NetworkConfig(input_size=64, max_hands=3, channels=16, hidden=32, color_rank=4)
    torch.manual_seed(0)
    network = HandNetwork(config, HandTemplate.bundled())
    path = tmp_path_factory.mktemp("checkpoint") / "small.ckpt"
    state = {f"network.{name}": values for name, values in network.state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": {"network": asdict(config)}}, path)
    return path


def test_outputs_follow_the_contract(checkpoint):
    backend = open_backend(checkpoint)
    outputs = backend(np.ones((1, 64, 64, 3), np.uint8), np.array([[60, 60, 32, 32]], np.float32))
    assert {name: values.shape for name, values in outputs.items()} == output_shapes(
        backend.sidecar
    )
    assert "PyTorch" in backend.name
    backend.close()


def test_estimator_runs_a_checkpoint(checkpoint):
    estimator = Estimator.from_file(checkpoint, score_threshold=0.0)
    image = np.random.default_rng(0).integers(0, 256, (48, 100, 3), dtype=np.uint8)
    hands = estimator(image)
    assert 1 <= len(hands) <= 3
    assert estimator.model_id == "small"


def test_damaged_checkpoint(tmp_path):
    (tmp_path / "broken.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(HandmeshError, match="not a training checkpoint"):
        open_backend(tmp_path / "broken.ckpt")


def test_onnxruntime_refuses_a_checkpoint(checkpoint):
    with pytest.raises(HandmeshError, match="cannot load small.ckpt"):
        open_backend(checkpoint, "onnxruntime")

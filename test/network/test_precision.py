from __future__ import annotations

import pytest
import torch

from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.config import NetworkConfig
from handmesh_ros.network.model import HandNetwork
from handmesh_ros.network.precision import with_float16


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    config = NetworkConfig(input_size=64, max_hands=3, channels=16, hidden=32, color_rank=4)
    return HandNetwork(config, HandTemplate.bundled()).eval()


def test_convolutions_are_float16_and_geometry_is_not(network):
    reduced = with_float16(network)
    dtypes = {name: value.dtype for name, value in reduced.named_parameters()}
    assert all(dtypes[name] == torch.float16 for name in dtypes if name.startswith("backbone"))
    assert dtypes["heads.rotations.weight"] == torch.float32
    assert {value.dtype for value in network.parameters()} == {torch.float32}, "a copy is changed"


def test_outputs_stay_float32_and_close(network):
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    camera = torch.tensor([[64.0, 64.0, 32.0, 32.0]])
    with torch.inference_mode():
        expected, found = network(image, camera), with_float16(network)(image, camera)
    for name, values in found.items():
        assert values.dtype == torch.float32, name
    torch.testing.assert_close(found["score"], expected["score"], atol=2e-3, rtol=2e-2)

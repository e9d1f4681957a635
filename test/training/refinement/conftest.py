import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from crop_cases import exact_sample

from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.refinement import RefinementNetwork
from handmesh_ros.training.refinement.features import FeatureOptions, read_shard


@pytest.fixture(scope="session")
def published():
    """The published landmark network with new heads; not to be changed."""
    torch.manual_seed(0)
    network = RefinementNetwork(HandTemplate.bundled(), hidden=384)
    network.load_published()
    return network.eval()


@pytest.fixture(scope="session")
def features(published):
    samples = [exact_sample(seed) for seed in range(20)]
    return read_shard(samples, published, None, FeatureOptions(mirror=0, light=0))

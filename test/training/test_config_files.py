import re
from dataclasses import replace
from pathlib import Path

import pytest

from handmesh_ros.training.config import TrainingConfig

FILES = sorted((Path(__file__).parents[2] / "config" / "training").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_stage_is_named_like_its_file(path):
    config = TrainingConfig.load(path)
    assert config.name == path.stem
    assert config.data.train and config.data.validation


def test_the_stages_of_the_shipped_network_fit_together():
    numbered = [path for path in FILES if re.match(r"mobile_\d", path.stem)]
    numbered.sort(key=lambda path: int(path.stem.split("_")[1]))
    stages = [TrainingConfig.load(path) for path in numbered]
    assert len(stages) == 13
    assert len({replace(stage.network, input_size=64) for stage in stages}) == 1
    assert [stage.losses.photometric > 0 for stage in stages] == [False, True, True] + 10 * [False]

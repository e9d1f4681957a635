import pytest
from made_up_shards import tiny_config, write_shards

from handmesh_ros.training.throughput import format_throughput, throughput


def test_every_part_is_measured(tmp_path):
    write_shards(tmp_path / "made_up")
    rates = throughput(tiny_config(tmp_path / "tiny.yaml"), tmp_path, batches=3)
    assert rates["loader"] > 0 and rates["step"] > 0
    assert rates["generator"] is None or rates["generator"] > 0


@pytest.mark.parametrize("loader, verdict", [(50.0, "keeps up with"), (10.0, "starves")])
def test_the_table_says_what_is_too_slow(loader, verdict):
    table = format_throughput({"generator": None, "loader": loader, "step": 25.0}, 2)
    assert "| generator, one process | no EGL |" in table
    assert f"The loader {verdict} the step" in table

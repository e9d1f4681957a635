import pytest
from made_up_shards import tiny_config, write_shards

from handmesh_ros.training.engine.throughput import format_throughput, minutes_of, throughput


@pytest.mark.parametrize("twins", [False, True])
def test_every_part_is_measured(tmp_path, twins):
    write_shards(tmp_path / "made_up")
    config = tiny_config(tmp_path / "tiny.yaml", **{"data.twins": twins})
    rates = throughput(config, tmp_path, batches=3)
    assert rates["loader"] > 0 and rates["step"] > 0
    assert rates["generator"] is None or rates["generator"] > 0


@pytest.mark.parametrize("twins, minutes", [(False, 2.0), (True, 4.0)])
def test_the_narrowest_part_tells_how_long_a_stage_takes(tmp_path, twins, minutes):
    changes = {"optimisation.steps": 120, "optimisation.batch_size": 10, "data.twins": twins}
    config = tiny_config(tmp_path / "tiny.yaml", **changes)
    rates = {"generator": 1.0, "loader": 10.0, "step": 20.0}
    assert minutes_of(config, rates) == minutes


@pytest.mark.parametrize("loader, verdict", [(50.0, "keeps up with"), (10.0, "starves")])
def test_the_table_says_what_is_too_slow(loader, verdict):
    table = format_throughput({"generator": None, "loader": loader, "step": 25.0}, 2)
    assert "| generator, one process | no EGL |" in table
    assert f"The loader {verdict} the step" in table

"""Settings of training: those that cannot work are refused in one sentence before it starts."""

import pytest
from made_up_shards import tiny_config, write_shards

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.config import TrainingConfig
from handmesh_ros.training.engine.train import train
from handmesh_ros.training.ranges import Range


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("optimisation.steps", "0", "1 or more"),
        ("optimisation.steps", "1.5", "type int"),
        ("optimisation.batch_size", "-4", "1 or more"),
        ("optimisation.batch_size", "true", "type int"),
        ("optimisation.learning_rate", ".nan", "0 or more"),
        ("optimisation.weight_decay", ".inf", "0 or more"),
        ("optimisation.ema_decay", "1", "between 0 and 0.999999"),
        ("optimisation.frozen_stages", "9", "between 0 and 5"),
        ("optimisation.precision", "64-bit", "choose one of 32-true"),
        ("data.workers", "-1", "0 or more"),
        ("data.mosaic", "1.01", "between 0 and 1"),
        ("data.augment.zoom", "[2, 1]", "smaller number first"),
        ("data.augment.zoom", "[1, 2, 3]", "a list of 2"),
        ("data.augment.flip", "-0.1", "between 0 and 1"),
        ("data.backgrounds", "[1]", "type str"),
        ("data.train", "[{path: made_up, weight: -1}]", "0 or more"),
        ("data.train", "[{path: made_up, weight: 0}]", "weight 0"),
        ("losses.keypoints", "-5", "0 or more"),
        ("network.channels", "0", "8 or more"),
        ("network.max_hands", "1000", "64 cells"),
        ("epoch_steps", "0", "1 or more"),
        ("checkpoint_steps", "0", "1 or more"),
        ("seed", "4294967296", "between 0 and"),
        ("name", "''", "letters, digits"),
        ("name", "a/b", "letters, digits"),
        ("name.first", "x", "no section"),
        ("seed", "[", "not valid YAML"),
        ("seed", "[" * 5000, "not valid YAML"),
    ],
)
def test_a_value_out_of_range_is_named(tmp_path, name, value, said):
    with pytest.raises(HandmeshError, match=said) as found:
        tiny_config(tmp_path / "tiny.yaml", **{name: value})
    assert name.split(".")[-1] in str(found.value) or name.split(".")[0] in str(found.value)
    assert "\n" not in str(found.value)


def test_the_ends_of_a_range_belong_to_it():
    Range(0, 1).check((0, 1), "")
    with pytest.raises(HandmeshError, match="between 0 and 1"):
        Range(0, 1).check(1.0000001, "here")


@pytest.mark.parametrize("text", ["[]", "0", "false", "name: [", "a: " + "{a: " * 3000])
def test_a_file_that_holds_no_settings_is_named(tmp_path, text):
    path = tmp_path / "tiny.yaml"
    path.write_text(text)
    with pytest.raises(HandmeshError, match=r"tiny\.yaml"):
        TrainingConfig.load(path)


@pytest.mark.parametrize(
    "tasks, devices, said",
    [({"SLURM_NTASKS": "2"}, "auto", "ntasks"), ({"SLURM_NTASKS_PER_NODE": "1"}, "2", "devices")],
)
def test_a_batch_jobs_task_count_is_named(tmp_path, monkeypatch, tasks, devices, said):
    write_shards(tmp_path / "made_up", 2)
    job = {
        "JOB_ID": "7", "JOB_NAME": "train", "PROCID": "0", "LOCALID": "0", "NODEID": "0",
        "JOB_NODELIST": "localhost", "NNODES": "1", "NTASKS": "1",
    }  # fmt: skip
    for name, value in {
        **{f"SLURM_{name}": value for name, value in job.items()},
        **tasks,
    }.items():
        monkeypatch.setenv(name, value)
    config = tiny_config(tmp_path / "tiny.yaml")
    with pytest.raises(HandmeshError, match=said):
        train(config, tmp_path, tmp_path / "run", devices=devices)

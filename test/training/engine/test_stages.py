import argparse
import json
import signal

import pytest
import torch
from made_up_shards import tiny_config, write_shards

from handmesh_ros.cli.training.train import add_arguments, run
from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.parity import FLOAT32_LIMIT
from handmesh_ros.inference.sidecar import Sidecar
from handmesh_ros.network.checkpoint import load_network, trained_steps
from handmesh_ros.training.config import TrainingConfig
from handmesh_ros.training.engine.stages import train_stages
from handmesh_ros.training.engine.train import train
from handmesh_ros.training.engine.trainer import HandTrainer
from handmesh_ros.training.export.export import graph_drift


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_shards(folder / "made_up")
    return folder


def stages(folder):
    """Two stages of two steps that change nothing, and their files FOLDER/first, second.yaml."""
    configs = []
    for name in ("first", "second"):
        path = folder / f"{name}.yaml"
        tiny_config(path)
        changes = {"tiny": name, "steps: 6": "steps: 2, learning_rate: 0.0"}
        text = path.read_text()
        for old, new in changes.items():
            text = text.replace(old, new)
        path.write_text(text)
        configs.append(TrainingConfig.load(path))
    return configs


def parse(*words):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def test_each_stage_starts_from_the_one_before(data, tmp_path):
    outputs = [tmp_path / "first", tmp_path / "second"]
    assert train_stages(stages(tmp_path), data, outputs)
    first, second = (torch.load(o / "last.ckpt", weights_only=True) for o in outputs)
    name = "network.heads.side.weight"
    torch.testing.assert_close(second["state_dict"][name], first["state_dict"][name])


def test_a_stopped_run_goes_on_where_it_stood(data, tmp_path):
    configs, outputs = stages(tmp_path), [tmp_path / "first", tmp_path / "second"]
    assert not train_stages(configs, data, outputs, max_steps=1)
    assert trained_steps(outputs[0] / "last.ckpt") == 1
    assert not (outputs[1] / "last.ckpt").exists()
    assert train_stages(configs, data, outputs)
    written = [(output / "last.ckpt").stat().st_mtime_ns for output in outputs]
    assert train_stages(configs, data, outputs), "a complete run is left as it is"
    assert [(output / "last.ckpt").stat().st_mtime_ns for output in outputs] == written


@pytest.mark.parametrize(
    "changes", [{"network.channels": 24}, {"optimisation.only": "heads.color"}]
)
def test_going_on_with_other_settings_is_one_sentence(data, tmp_path, changes):
    train(tiny_config(tmp_path / "tiny.yaml"), data, tmp_path / "run", max_steps=1)
    before = (tmp_path / "run" / "last.ckpt").read_bytes()
    with pytest.raises(HandmeshError, match="last.ckpt is of other settings.*--output.$") as error:
        train(tiny_config(tmp_path / "tiny.yaml", **changes), data, tmp_path / "run", max_steps=2)
    assert "\n" not in str(error.value)
    assert (tmp_path / "run" / "last.ckpt").read_bytes() == before


@pytest.mark.slow
def test_one_command_ends_with_a_measured_model(data, tmp_path, capsys):
    stages(tmp_path)
    words = (tmp_path / "first.yaml", tmp_path / "second.yaml")
    arguments = parse(*words, "--data", data, "--output", tmp_path / "run")
    assert run(arguments) == 0
    path = tmp_path / "run" / "second" / "second.onnx"
    sidecar = Sidecar.read(path.with_suffix(".json"))
    assert sidecar.model_id == "second" and sidecar.training_data == ("made_up",)
    measured = json.loads((path.parent / "metrics.json").read_text())
    assert measured["made_up"]["images"] == 12 and sidecar.metrics == measured
    assert "recall" in capsys.readouterr().out
    assert graph_drift(load_network(path.with_name("last.ckpt")), path).within(FLOAT32_LIMIT)


def test_ctrl_c_stays_one(data, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(HandTrainer, "training_step", interrupt)
    usual = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            train_stages(stages(tmp_path)[:1], data, [tmp_path / "first"])
    finally:
        signal.signal(signal.SIGINT, usual)


def test_no_time_left_is_said(data, tmp_path, capsys):
    stages(tmp_path)
    words = (tmp_path / "first.yaml", "--data", data, "--output", tmp_path / "run")
    assert run(parse(*words, "--max-minutes", "0")) == 0
    assert "run the same command again" in capsys.readouterr().out


def test_missing_data_are_named_before_anything_starts(data, tmp_path, capsys):
    stages(tmp_path)
    output = tmp_path / "run"
    words = [tmp_path / "first.yaml", tmp_path / "second.yaml", "--output", output]
    with pytest.raises(HandmeshError, match="no training shards in .*nowhere"):
        run(parse(*words, "--data", tmp_path / "nowhere"))
    with pytest.raises(HandmeshError, match="Cannot read the folder .*none"):
        run(parse(*words, "--data", data, "--set", "data.backgrounds=[none]"))
    assert capsys.readouterr().out == "" and not output.exists()


def test_two_stages_of_one_name_are_refused(data, tmp_path):
    stages(tmp_path)
    with pytest.raises(HandmeshError, match="folder of its own"):
        run(parse(tmp_path / "first.yaml", tmp_path / "first.yaml", "--data", data))


def test_a_damaged_checkpoint_is_named(data, tmp_path):
    output = tmp_path / "first"
    output.mkdir()
    (output / "last.ckpt").write_bytes(b"half a file")
    with pytest.raises(HandmeshError, match=r"last\.ckpt is not a training checkpoint"):
        train_stages(stages(tmp_path)[:1], data, [output])

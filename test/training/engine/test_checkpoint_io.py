import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from made_up_shards import tiny_config, write_shards

from handmesh_ros.errors import HandmeshError
from handmesh_ros.network.checkpoint import trained_steps
from handmesh_ros.training.engine.checkpoint_io import WholeCheckpointIO


def test_a_checkpoint_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    WholeCheckpointIO().save_checkpoint({"step": 1}, path)

    def full(_):
        assert torch.load(path)["step"] == 1, "the old one is there until the new one is complete"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HandmeshError, match="No space left"):
        WholeCheckpointIO().save_checkpoint({"step": 2}, path)
    assert torch.load(path)["step"] == 1 and os.listdir(tmp_path) == ["last.ckpt"]


def test_nothing_is_written_to_another_disk_first(tmp_path, monkeypatch):
    """Where the temporary folder is another disk, a move from there is no single step."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    WholeCheckpointIO().save_checkpoint({"step": 1}, tmp_path / "run" / "last.ckpt")
    assert torch.load(tmp_path / "run" / "last.ckpt")["step"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_training_keeps_its_checkpoint(tmp_path, number):
    write_shards(tmp_path / "made_up", 2)
    tiny_config(tmp_path / "tiny.yaml")
    last = tmp_path / "run" / "last.ckpt"
    command = [
        sys.executable,
        "-m",
        "handmesh_ros.cli.main",
        "train",
        tmp_path / "tiny.yaml",
        "--data",
    ]
    command += [tmp_path, "--output", tmp_path / "run", "--set", "optimisation.steps=100000"]
    program = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + 120
        while not last.exists() and time.monotonic() < end and program.poll() is None:
            time.sleep(0.02)
    finally:
        program.send_signal(number)
        said = program.communicate(timeout=60)[1]
    assert trained_steps(last) >= 1
    if number == signal.SIGTERM:
        assert program.returncode == 130, said
        assert "handmesh: interrupted" in said and "Traceback" not in said
        assert sorted(p.name for p in last.parent.iterdir() if "part" in p.name) == []

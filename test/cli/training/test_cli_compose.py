from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from handmesh_ros.cli.main import main
from handmesh_ros.training.data.shards import ShardDataset


@pytest.fixture
def photographs(tmp_path):
    """A labelled set of two photographs with a bright, hand-sized disc."""
    (tmp_path / "photos" / "images").mkdir(parents=True)
    labels = {}
    for name in ("a.png", "b.png"):
        image = np.full((120, 120, 3), 60, np.uint8)
        cv2.circle(image, (60, 60), 35, (120, 160, 220), -1)
        cv2.imwrite(str(tmp_path / "photos" / "images" / name), image)
        angles = np.linspace(0, 2 * np.pi, 21)
        keypoints = 60 + 30 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        labels[name] = [{"keypoints": keypoints.tolist(), "handedness": "right", "score": 1.0}]
    (tmp_path / "photos" / "labels.json").write_text(json.dumps(labels))
    return tmp_path / "photos"


def test_whole_photographs_become_shards(photographs, tmp_path, capsys):
    output = tmp_path / "shards"
    command = ["compose", str(output), "--sources", str(photographs), "--whole", "--split", "all"]
    assert main(command) == 0
    assert len(ShardDataset(output)) == 2
    assert "2 photographs" in capsys.readouterr().out


def test_composites_become_shards(photographs, tmp_path):
    output = tmp_path / "shards"
    command = ["compose", str(output), "--sources", str(photographs), "--split", "all"]
    assert main([*command, "--count", "2", "--hands", "1", "2", "--photographs", "0"]) == 0
    assert len(ShardDataset(output)) == 2


def test_composites_that_are_there_are_kept_and_never_replaced(photographs, tmp_path, capsys):
    output = tmp_path / "shards"
    command = ["compose", str(output), "--sources", str(photographs), "--split", "all"]
    command += ["--photographs", "0", "--size", "64"]
    assert main([*command, "--count", "2"]) == 0
    assert main([*command, "--count", "2"]) == 0
    assert "Wrote 0 composites" in capsys.readouterr().out
    assert main([*command, "--count", "1"]) == 1
    assert main([*command, "--count", "2", "--size", "96"]) == 1
    error = capsys.readouterr().err
    assert error.count("holds other or more samples") == error.count("\n") == 2
    assert ShardDataset(output)[1].image.shape == (64, 64, 3)


@pytest.mark.parametrize(
    "arguments",
    [("--hands", "3", "2"), ("--count", "0"), ("--photographs", "2")],
)
def test_arguments_that_cannot_work(photographs, tmp_path, capsys, arguments):
    command = ["compose", str(tmp_path / "out"), "--sources", str(photographs), *arguments]
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert stop.value.code == 2
    assert arguments[0] in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_without_labels_is_named(tmp_path, capsys):
    assert main(["compose", str(tmp_path / "out"), "--sources", "nowhere"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("handmesh: ") and error.count("\n") == 1

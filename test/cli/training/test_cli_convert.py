from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "training"))

from published_sets import two_hands, write_coco_wholebody, write_freihand, write_interhand

from handmesh_ros.cli.main import main
from handmesh_ros.training.data.shards import ShardDataset


def test_3d_labels_of_both_sides_reach_the_shards(tmp_path, capsys):
    joints = two_hands()
    write_interhand(tmp_path / "set", joints)
    assert main(["convert", "interhand", str(tmp_path / "set"), str(tmp_path / "out")]) == 0
    assert "2 images, 3 hands with 3D labels" in capsys.readouterr().out
    sample = ShardDataset(tmp_path / "out")[1]
    assert sample.has_3d.tolist() == [1, 1]
    np.testing.assert_allclose(sample.joints, joints, atol=1e-5)
    assert np.linalg.det(sample.rotations) == pytest.approx(np.ones((2, 16)), abs=1e-4)


def test_2d_labels_only(tmp_path, capsys):
    write_coco_wholebody(tmp_path / "coco", two_hands())
    write_freihand(tmp_path / "freihand", two_hands())
    out = tmp_path / "out"
    assert main(["convert", "coco-wholebody", str(tmp_path / "coco"), str(out)]) == 0
    command = ["convert", "freihand", str(tmp_path / "freihand"), str(out), "--only-2d"]
    assert main([*command, "--limit", "3"]) == 0
    dataset = ShardDataset(out)
    assert len(dataset) == 4
    for index in range(4):
        sample = dataset[index]
        assert not sample.has_3d.any() and not sample.joints.any()


def test_broken_images_are_skipped_counted_and_the_first_named(tmp_path, capsys, caplog):
    write_freihand(tmp_path / "set", two_hands())
    images = tmp_path / "set" / "training" / "rgb"
    (images / "00000001.jpg").write_bytes(b"")
    command = ["convert", "freihand", str(tmp_path / "set"), str(tmp_path / "out"), "--only-2d"]
    assert main(command) == 0
    assert "Skipped 1 of 4" in caplog.text and "00000001.jpg is damaged" in caplog.text
    for path in images.iterdir():
        path.write_bytes(b"")
    assert main(command) == 1
    assert "None of 4 images can be used" in capsys.readouterr().err

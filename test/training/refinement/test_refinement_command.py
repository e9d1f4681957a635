import json

import pytest
from crop_cases import exact_sample

from handmesh_ros.cli.main import main
from handmesh_ros.training.data.shards import ShardWriter

WORDS = ("--steps", "2", "--batch-size", "8")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "made_up"
    with ShardWriter(folder) as writer:
        for seed in range(20):
            writer.write(exact_sample(seed, hands=1))
    return folder


def train(shards, output, *words):
    return main(["train-refinement", "--data", str(shards), "--output", str(output), *words])


def test_heads_are_trained_judged_and_kept(shards, tmp_path, capsys):
    assert train(shards, tmp_path, *WORDS, "--max-minutes", "0") == 0
    assert "run the same command again" in capsys.readouterr().out
    assert train(shards, tmp_path, *WORDS, "--judge", str(shards)) == 0
    said = capsys.readouterr().out
    assert f"Done: {tmp_path / 'best.ckpt'}" in said
    assert "step 2: loss" in said
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures) == {"made_up"}


def test_data_that_are_not_there_are_named(tmp_path, capsys):
    assert train(tmp_path / "none", tmp_path / "run", *WORDS) == 1
    assert "There are no training shards in" in capsys.readouterr().err


def test_photographs_without_labels_are_named(shards, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    photos = ("--photographs", str(tmp_path / "photos"))
    assert train(shards, tmp_path / "run", *WORDS, *photos) == 1
    assert "photos" in capsys.readouterr().err


def test_networks_for_whole_images_are_refused(shards, tmp_path, capsys):
    assert train(shards, tmp_path / "run", *WORDS, "--init", "weights/mobile.ckpt") == 1
    assert "for whole images" in capsys.readouterr().err


def test_numbers_that_cannot_work_are_refused(shards, tmp_path):
    with pytest.raises(SystemExit) as end:
        train(shards, tmp_path, "--steps", "0")
    assert end.value.code == 2

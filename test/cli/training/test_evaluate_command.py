import json

import pytest
from made_up_shards import write_shards

from handmesh_ros.cli.main import main


@pytest.fixture
def shards(tmp_path):
    for name in ("first", "second"):
        write_shards(tmp_path / name / "val", count=2)
    return tmp_path


def test_folders_of_the_same_name_stay_apart(shards, tiny_model, tmp_path):
    folders = [str(shards / name / "val") for name in ("first", "second")]
    figures = tmp_path / "new" / "figures.json"
    command = ["evaluate", *folders, "--model", str(tiny_model), "--json", str(figures)]
    assert main(command) == 0
    assert list(json.loads(figures.read_text())) == folders


@pytest.mark.parametrize("wrong", [["nowhere"], ["--json", __file__ + "/x.json"]])
def test_nothing_is_measured_in_vain(shards, tiny_model, capsys, wrong):
    assert main(["evaluate", str(shards / "first" / "val"), *wrong]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and not captured.out


def test_options_of_shards_do_not_go_with_a_published_set(shards, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(shards), "--dataset", "freihand", "--groups"])
    assert stop.value.code == 2
    assert "are for shards" in capsys.readouterr().err

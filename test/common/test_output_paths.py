import cv2
import numpy as np
import pytest

from handmesh_ros.cli.main import main
from handmesh_ros.common.output_paths import Originals, check_place
from handmesh_ros.errors import HandmeshError


def test_the_folder_of_a_place_is_made_and_nothing_is_left_there(tmp_path):
    check_place(tmp_path / "new" / "file.json")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_folder_and_a_place_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(HandmeshError, match=f"Cannot write {place} "):
            check_place(place)


def test_originals_are_known_by_all_their_names(tmp_path):
    photo = tmp_path / "photo"
    photo.write_text("pixels")
    (tmp_path / "hard").hardlink_to(photo)
    (tmp_path / "soft").symlink_to(photo)
    originals = Originals([photo, tmp_path / "not there"])
    for name in ("photo", "hard", "soft"):
        with pytest.raises(HandmeshError, match="would overwrite"):
            originals.check(tmp_path / name)
    originals.check(tmp_path / "not there")


@pytest.mark.parametrize(
    "command",
    [
        ["detect", "photo.png", "--model", "model.onnx"],
        ["detect", "photo.png", "--detail-model", "model.onnx"],
        ["evaluate", "data", "--model", "model.onnx"],
        ["bench", "model.onnx"],
    ],
)
def test_figures_are_not_written_over_the_sidecar_of_the_model(
    tmp_path, monkeypatch, capsys, command
):
    pytest.importorskip("torch", reason="needs the training package: run `make test`")
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.png", np.zeros((8, 8, 3), np.uint8))
    for name in ("model.onnx", "model.json"):
        (tmp_path / name).write_text("of the model")
    assert main([*command, "--json", "model.json"]) == 1
    assert "Writing model.json would overwrite" in capsys.readouterr().err
    assert (tmp_path / "model.json").read_text() == "of the model"

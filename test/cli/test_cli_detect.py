from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from handmesh_ros.cli.main import main
from handmesh_ros.hand.conventions import KEYPOINT_NAMES
from handmesh_ros.inference.preprocess import intrinsics_from_fov


@pytest.fixture
def photo(tmp_path):
    return write(tmp_path / "photo.png", np.full((60, 80, 3), 128, np.uint8))


@pytest.fixture
def detect(tiny_model, tmp_path):
    """Run `handmesh detect` with the tiny model; returns the exit code and the JSON."""

    def run(*arguments, code=0):
        target = tmp_path / "found.json"
        command = ["detect", "--model", tiny_model, "--json", target, *arguments]
        assert main([str(argument) for argument in command]) == code
        return json.loads(target.read_text()) if target.exists() else None

    return run


def write(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def write_video(path: Path, frames: int = 5, size=(64, 48)) -> Path:
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, size)
    for index in range(frames):
        video.write(np.full((size[1], size[0], 3), 100 + 10 * index, np.uint8))
    video.release()
    return path


def test_json_is_as_documented(detect, photo):
    result = detect(photo, "--mesh", "--intrinsics", "90,91,40,30")
    assert (result["format"], result["version"]) == ("handmesh-detections", 1)
    assert result["keypoint_names"] == list(KEYPOINT_NAMES)
    assert result["model"] == {
        "model_id": "tiny-test",
        "effort": "fast",
        "hand_model": "open_hand",
        "score_threshold": 0.3,
    }
    (image,) = result["images"]
    assert image["path"] == str(photo)
    assert (image["width"], image["height"]) == (80, 60)
    assert image["intrinsics"] == [90, 91, 40, 30]
    assert "frame" not in image
    right, left = image["hands"]
    assert (right["handedness"], left["handedness"]) == ("right", "left")
    assert right["score"] == 0.9 and right["handedness_score"] == 0.95
    assert np.shape(right["box"]) == (4,)
    assert np.shape(right["keypoints_2d"]) == (21, 2)
    assert np.shape(right["joints"]) == (21, 3)
    assert np.shape(right["vertices"]) == (778, 3)
    assert np.max(result["faces"]) == 777
    assert right["scale_source"] == "assumed"
    assert right["refined"] is False and right["keypoint_scores"] == [1] * 21
    joints = np.array(right["joints"])
    expected = joints[:, :2] / joints[:, 2:] * [90, 91] + [40, 30]
    np.testing.assert_allclose(right["keypoints_2d"], expected, atol=0.05)


def test_without_mesh_there_are_no_vertices(detect, photo):
    result = detect(photo)
    assert "faces" not in result and "vertices" not in result["images"][0]["hands"][0]
    np.testing.assert_allclose(
        result["images"][0]["intrinsics"], intrinsics_from_fov(60, 80), atol=1e-3
    )


def test_fov_changes_the_camera(detect, photo):
    result = detect(photo, "--fov", 90)
    assert result["images"][0]["intrinsics"] == [40, 40, 39.5, 29.5]


def test_threshold(detect, photo):
    assert len(detect(photo, "--threshold", 0.85)["images"][0]["hands"]) == 1


def test_folders_videos_and_drawings(detect, tmp_path):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    picture = np.full((60, 80, 3), 128, np.uint8)
    write(folder / "a.jpg", picture)
    write(folder / "sub" / "a.jpg", picture)
    write_video(folder / "clip.mp4")
    (folder / "notes.txt").write_text("not a picture")
    drawings = tmp_path / "out"
    result = detect(folder, folder / "a.jpg", "--draw", drawings)
    paths = [Path(image["path"]) for image in result["images"]]
    assert paths.count(folder / "a.jpg") == 2 and paths.count(folder / "clip.mp4") == 5
    frames = [image for image in result["images"] if "frame" in image]
    assert [image["frame"] for image in frames] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose([image["time_s"] for image in frames], np.arange(5) / 10, atol=1e-3)
    drawn = sorted(str(path.relative_to(drawings)) for path in drawings.rglob("*.*"))
    assert drawn == ["a.jpg", "a_2.jpg", "clip.mp4", "sub/a.jpg"]
    assert cv2.VideoCapture(str(drawings / "clip.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 5
    assert (cv2.imread(str(drawings / "a.jpg")) != 128).any()


def test_exif_orientation_is_honoured(detect, tmp_path):
    encoded = cv2.imencode(".jpg", np.full((60, 80, 3), 128, np.uint8))[1].tobytes()
    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    segment = b"\xff\xe1" + (len(turned) + 2).to_bytes(2, "big") + turned
    path = tmp_path / "turned.jpg"
    path.write_bytes(encoded[:2] + segment + encoded[2:])
    (image,) = detect(path)["images"]
    assert (image["width"], image["height"]) == (60, 80)


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((60, 80), 128, np.uint8),
        np.full((60, 80), 40000, np.uint16),
        np.full((60, 80, 3), 40000, np.uint16),
        np.full((60, 80, 4), 128, np.uint8),
    ],
    ids=["grey", "grey16", "rgb16", "rgba"],
)
def test_unusual_pixels(detect, tmp_path, pixels):
    assert len(detect(write(tmp_path / "image.png", pixels))["images"][0]["hands"]) == 2


def test_files_that_cannot_be_read_do_not_stop_the_others(detect, photo, tmp_path, capsys):
    (tmp_path / "text.jpg").write_text("not a photo")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    (tmp_path / "nothing").mkdir()
    broken = [
        tmp_path / name for name in ("text.jpg", "empty.png", "broken.mp4", "nothing", "none.jpg")
    ]
    result = detect(*broken, photo, code=1)
    assert [image["path"] for image in result["images"]] == [str(photo)]
    assert [error["path"] for error in result["errors"]] == [str(path) for path in broken]
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("handmesh:")]
    assert len(lines) == len(broken)
    assert all(str(path) in line for path, line in zip(broken, lines, strict=True))


def test_a_broken_link_in_a_folder_is_named_and_the_others_are_read(detect, photo, capsys):
    (photo.parent / "link.jpg").symlink_to(photo.parent / "gone.jpg")
    result = detect(photo.parent, code=1)
    assert [image["path"] for image in result["images"]] == [str(photo)]
    assert "link.jpg (No such file or directory)" in capsys.readouterr().err


def test_a_photo_that_is_cut_off_is_one_sentence_and_nothing_of_the_decoder_s(
    detect, tmp_path, capfd
):
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    cut = tmp_path / "cut.png"
    cut.write_bytes(cv2.imencode(".png", noise)[1][:-1000].tobytes())
    detect(cut, code=1)
    error = capfd.readouterr().err
    assert error.startswith(f"handmesh: Cannot decode {cut}") and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--intrinsics", "1,2,3"), "not four numbers"),
        (("--intrinsics", "a,b,c,d"), "not four numbers"),
        (("--intrinsics", "nan,500,320,240"), "not usable"),
        (("--fov", "200"), "field of view"),
        (("--fov", "wide"), "field of view 'wide'"),
        (("--threshold", "1.5"), "'1.5' is not a number from 0 to 1"),
        (("--backend", "warp"), "'warp'"),
        (("--texture",), "give --draw"),
        (("--frob",), "unrecognized arguments: --frob"),
    ],
)
def test_command_lines_that_cannot_work(photo, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        main(["detect", str(photo), *arguments])
    assert stop.value.code == 2
    *usage, error = capsys.readouterr().err.splitlines()
    assert usage[0].startswith("usage: handmesh detect")
    assert error.startswith("handmesh detect: error: ") and message in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "none.onnx"), "no model at none.onnx"),
        (("--draw", "photo.png/drawings"), "Cannot write"),
        (("--draw", "photo.png"), "Cannot write photo.png (it is a file, not a folder)"),
        (("--json", "photo.png/found.json"), "Cannot write"),
        (("--json", "."), "Cannot write"),
    ],
)
def test_places_that_cannot_be_used(detect, photo, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(photo.parent)
    detect(photo, *arguments, code=1)
    error = capsys.readouterr().err
    assert error.startswith("handmesh: ") and message in error
    assert error.count("\n") == 1


def test_drawing_never_overwrites_its_source(detect, photo):
    before = photo.read_bytes()
    result = detect(photo, "--draw", photo.parent, code=1)
    assert photo.read_bytes() == before
    assert "overwrite" in result["errors"][0]["message"]


def test_drawing_never_overwrites_a_photo_of_the_same_name_that_comes_later(detect, tmp_path):
    picture = np.full((60, 80, 3), 128, np.uint8)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "same.png", picture)
    before = (tmp_path / "second" / "same.png").read_bytes()
    result = detect(tmp_path / "first", tmp_path / "second", "--draw", tmp_path / "second", code=1)
    assert (tmp_path / "second" / "same.png").read_bytes() == before
    assert [Path(error["path"]).parent.name for error in result["errors"]] == ["first"]


def test_the_json_never_overwrites_a_photo(tiny_model, photo, capsys):
    before = photo.read_bytes()
    link = photo.with_name("link.json")
    link.symlink_to(photo)
    for target in (photo, link):
        assert main(["detect", str(photo), "--json", str(target)]) == 1
        assert "overwrite" in capsys.readouterr().err
    assert photo.read_bytes() == before


def test_json_through_a_link_and_into_a_device(tiny_model, photo, tmp_path):
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "far.json")
    device = tmp_path / "nothing"
    device.symlink_to("/dev/null")
    for target in (link, device):
        command = ["detect", str(photo), "--model", str(tiny_model), "--json", str(target)]
        assert main(command) == 0
    assert link.is_symlink() and len(json.loads((tmp_path / "far.json").read_text())["images"])
    assert Path("/dev/null").is_char_device()


def test_a_full_disk_is_one_sentence(tiny_model, photo, tmp_path, capsys):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    command = ["detect", str(photo), "--model", str(tiny_model), "--json", str(full)]
    assert main(command) == 1
    assert capsys.readouterr().err == "handmesh: Cannot use /dev/full: No space left on device.\n"


def test_a_video_that_is_cut_short_is_named_and_used_so_far(detect, tmp_path, monkeypatch):
    open_video = cv2.VideoCapture

    class Capture:  # OpenCV's own classes are not made to be inherited from.
        def __init__(self, path):
            self._video = open_video(path)
            self.read, self.release = self._video.read, self._video.release
            self.set, self.grab = self._video.set, self._video.grab

        def get(self, what):
            return 12.0 if what == cv2.CAP_PROP_FRAME_COUNT else self._video.get(what)

    path = write_video(tmp_path / "clip.mp4")
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    result = detect(path, code=1)
    assert len(result["images"]) == 5
    assert "ends after 5 of 12 frames" in result["errors"][0]["message"]


def test_an_address_is_no_file(detect, photo):
    result = detect("http://example.org/photo.jpg", photo, code=1)
    assert result["errors"][0]["message"].startswith("http://example.org/photo.jpg is an address")
    assert len(result["images"]) == 1


def test_interrupted_run_leaves_the_old_file(tiny_model, photo, tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    target = tmp_path / "json" / "found.json"
    target.parent.mkdir()
    target.write_text("old")
    monkeypatch.setattr("handmesh_ros.cli.detect.read_frames", interrupt)
    arguments = ["detect", str(photo), "--model", str(tiny_model), "--json", str(target)]
    assert main(arguments) == 130
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_names_of_any_bytes(tiny_model, photo):
    odd = photo.rename(photo.with_name(os.fsdecode(b"\xff.png")))
    command = [sys.executable, "-m", "handmesh_ros.cli.main", "detect", odd, "--model", tiny_model]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, capture_output=True, env=environment)
    assert done.returncode == 0 and b"\\udcff.png: 2 hands" in done.stdout


def test_json_on_standard_output_is_only_json(tiny_model, photo):
    command = [sys.executable, "-m", "handmesh_ros.cli.main", "detect", photo]
    done = subprocess.run(
        [*command, "--model", tiny_model, "--json", "-"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert len(json.loads(done.stdout)["images"]) == 1
    assert "photo.png: 2 hands (right 0.90, left 0.80)" in done.stderr


def test_the_effort_that_is_made_is_named(detect, photo, tmp_path, capsys):
    clip = write_video(tmp_path / "clip.mp4")
    # The tiny model has no other input size and nothing to refine with.
    assert detect(photo, clip)["model"]["effort"] == "fast"
    bundled = ("--model", "mobile", "--no-refine", "--backend", "onnxruntime")
    assert detect(photo, clip, *bundled)["model"]["effort"] == "fast + balanced"
    assert detect(photo, "--refinement-model", "refine")["model"]["effort"] == "best"
    (tmp_path / "found.json").unlink()
    detect(photo, "--effort", "balanced", code=1)
    assert "The effort balanced needs a refinement model or a detail" in capsys.readouterr().err

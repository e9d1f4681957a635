from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from handmesh_ros.cli.main import main
from handmesh_ros.report import page

ROOT = Path(__file__).parents[2]


@pytest.fixture
def report(tiny_model, tmp_path):
    """Run `handmesh report` with the tiny model; returns the exit code."""

    def run(*arguments) -> int:
        command = ["report", "--model", tiny_model, *arguments]
        return main([str(argument) for argument in command])

    return run


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b <script>.png"):
        assert cv2.imwrite(str(folder / name), np.full((60, 80, 3), 128, np.uint8))
    return folder


def parts(path: Path) -> dict[str, str]:
    """The scripts of a page by id."""
    text = path.read_text(encoding="utf-8")
    return dict(re.findall(r'<script type="[a-z/]+" id="([\w-]+)">(.*?)</script>', text, re.S))


def test_the_page_holds_every_image_and_needs_no_network(report, photos, tmp_path):
    target = tmp_path / "new" / "report.html"
    assert report(photos, "--output", target, "--title", "A <b> & more") == 0
    scripts = parts(target)
    data = json.loads(scripts["report-data"])
    assert [image["name"] for image in data["images"]] == ["a.png", "b <script>.png"]
    assert [len(image["hands"]) for image in data["images"]] == [2, 2]
    assert data["facts"]["model"].startswith("tiny-test")
    assert len(json.loads(scripts["hands-0"])["hands"]) == 2
    assert scripts["picture-1"].startswith("/9j/")  # JPEG in base64
    text = target.read_text(encoding="utf-8")
    assert "<title>A &lt;b&gt; &amp; more</title>" in text
    assert "default-src 'none'" in text
    assert not re.search(r"""(src|href)=["']?https?:|@import|url\(""", text)
    assert sorted(path.name for path in target.parent.iterdir()) == ["report.html"]


def test_only_so_many_pictures_are_kept(report, photos, tmp_path):
    target = tmp_path / "report.html"
    assert report(photos, "--output", target, "--pictures", 1) == 0
    assert [name for name in parts(target) if name.startswith("picture")] == ["picture-0"]
    assert len(json.loads(parts(target)["report-data"])["images"]) == 2


def test_truth_and_another_model_are_in_the_tables(report, photos, tmp_path, tiny_model):
    points = np.stack([np.linspace(20, 60, 21), np.linspace(10, 40, 21)], axis=1).tolist()
    truth = tmp_path / "labels.json"
    truth.write_text(json.dumps({"a.png": {"keypoints": points, "handedness": "left"}}))
    other = tmp_path / "other.onnx"
    other.write_bytes(Path(tiny_model).read_bytes())
    sidecar = Path(tiny_model).with_suffix(".json")
    other.with_suffix(".json").write_bytes(sidecar.read_bytes())
    target = tmp_path / "report.html"
    assert report(photos, "--truth", truth, "--compare", other, "--output", target) == 0
    data = json.loads(parts(target)["report-data"])
    assert data["hasTruth"] and data["methods"] == ["handmesh", "other"]
    side = next(table for table in data["tables"] if table["title"] == "Side")
    assert [row[:3] for row in side["rows"]] == [["left", "handmesh", 1], ["left", "other", 1]]
    assert side["rows"][0][3:] == side["rows"][1][3:]
    assert data["images"][0]["true"] == 1 and "true" not in data["images"][1]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: ["--truth", folder / "missing.json"], "truth file"),
        (lambda folder: ["--truth", folder / "other.json"], "none of them"),
        (lambda folder: ["--compare", "no_such_model"], "no_such_model"),
        (lambda folder: ["--compare", "mediapipe", "--mediapipe", "no_python"], "no_python"),
        (lambda folder: ["--output", folder / "a.png"], "overwrite"),
        (lambda folder: ["--output", folder], "it is a folder"),
        (lambda folder: ["--max-pixels", 50], "No image could be read"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(report, photos, capsys, make, sentence):
    (photos / "other.json").write_text('{"else.jpg": []}')
    before = {path: path.read_bytes() for path in photos.iterdir()}
    arguments = ["--output", photos / "report.html", *make(photos)]
    assert report(photos, *arguments) == 1
    errors = capsys.readouterr().err
    assert sentence in errors and "Traceback" not in errors
    assert {path: path.read_bytes() for path in photos.iterdir()} == before


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told_before_the_work(report, photos, tmp_path, capsys):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    assert report(photos, "--output", folder / "report.html") == 1
    assert "Cannot write" in capsys.readouterr().err


def test_an_interrupted_write_leaves_the_older_file(tmp_path, monkeypatch):
    target = tmp_path / "report.html"
    target.write_text("old")

    def stop(*_):
        yield "half"
        raise KeyboardInterrupt

    monkeypatch.setattr(page, "page_parts", stop)
    with pytest.raises(KeyboardInterrupt):
        page.write_page(target, {}, [])
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_the_script_is_built_from_its_sources_and_small():
    built = (ROOT / "handmesh_ros/report/page.js").read_bytes()
    assert len(built) <= 1_000_000 and b"three.js authors" in built
    web = ROOT / "web"
    sources = [web / "package-lock.json", *sorted((web / "src").iterdir())]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    assert digest.encode() in built, "run `npm ci && npm run build` in web/"
    assert b"</script" not in built and b"<!--" not in built

from __future__ import annotations

import os

import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.media.folders import files_below
from handmesh_ros.media.sources import find_sources


@pytest.fixture
def folder(tmp_path):
    """A folder as cards and shares have it: links, circles, hidden things."""
    there, elsewhere = tmp_path / "there", tmp_path / "elsewhere"
    for name in ("a.jpg", "sub/b.jpg", ".thumbnails/t.jpg", "._a.jpg", "sub/.hidden.jpg"):
        path = there / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep" / "c.jpg").write_bytes(b"")
    (there / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(there)
    (there / "sub" / "self").symlink_to(there / "sub")
    return there


def names(files, folder):
    return sorted(str(path.relative_to(folder)) for path in files)


def test_links_are_followed_each_folder_once_and_hidden_entries_skipped(folder):
    found = names(files_below(folder), folder)
    assert found == ["a.jpg", "linked/deep/c.jpg", "sub/b.jpg"]


def test_a_hidden_folder_or_file_that_is_named_is_read(folder):
    assert names(files_below(folder / ".thumbnails"), folder) == [".thumbnails/t.jpg"]
    assert [source.path for source in find_sources(folder / "._a.jpg")] == [folder / "._a.jpg"]


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_folder_without_rights(folder):
    (folder / "sub").chmod(0)
    with pytest.raises(HandmeshError, match="Cannot read the folder .*sub"):
        list(files_below(folder))


def test_a_folder_that_cannot_be_read_is_told_and_the_others_are_walked(folder, monkeypatch):
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    told = []
    found = names(files_below(folder, lambda *problem: told.append(problem)), folder)
    assert found == ["a.jpg", "linked/deep/c.jpg"]
    ((path, problem),) = told
    assert path == folder / "sub" and "Permission denied" in str(problem)
    with pytest.raises(HandmeshError, match="check its path and rights"):
        list(files_below(folder))


def test_typescript_is_no_video(tmp_path):
    (tmp_path / "app.ts").write_text("export const x = 1;")
    (tmp_path / "clip.ts").write_bytes(b"G" + bytes(187))
    assert [source.path.name for source in find_sources(tmp_path)] == ["clip.ts"]


def test_every_walk_follows_links_and_skips_what_is_hidden(folder):
    """Those of training, too: negatives, and sets of labelled photographs."""
    pytest.importorskip("torch", reason="needs the training package: run `make test`")
    from handmesh_ros.training.data.composition.photographs import find_sets

    for place in (folder, folder / "linked" / "deep", folder / ".thumbnails"):
        (place / "labels.json").write_text("{}")
        (place / "images").mkdir()
    found = [path.resolve() for path in find_sets(folder)]
    assert sorted(found) == sorted([folder, (folder / "linked" / "deep").resolve()])

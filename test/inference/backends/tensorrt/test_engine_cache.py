from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time

import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.tensorrt.cache import (
    EngineCache,
    EngineKey,
    default_directory,
)

KEY = EngineKey("hand model/1", "ab" * 32, "tensorrt", "10.3.0", "GPU A", "CUDA 12.6")


def never():
    raise AssertionError("built again")


def test_keeps_what_was_built(tmp_path):
    cache = EngineCache(tmp_path / "made" / "engines")
    assert cache.get(KEY, lambda: b"plan") == b"plan"
    assert cache.get(KEY, never) == b"plan"
    description = json.loads(cache.path(KEY).with_suffix(".json").read_text())
    assert description["gpu"] == "GPU A" and description["version"] == "10.3.0"
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"pla"),
        lambda path: path.with_suffix(".json").write_text("{"),
        lambda path: path.with_suffix(".json").write_text("[]"),
        lambda path: path.with_suffix(".json").unlink(),
        lambda path: path.unlink(),
    ],
)
def test_damaged_files_are_built_again(tmp_path, damage):
    cache = EngineCache(tmp_path)
    cache.get(KEY, lambda: b"plan")
    damage(cache.path(KEY))
    assert cache.read(KEY) is None
    assert cache.get(KEY, lambda: b"new plan") == b"new plan"
    assert cache.read(KEY) == b"new plan"


def test_a_failed_build_leaves_nothing(tmp_path):
    cache = EngineCache(tmp_path)
    with pytest.raises(HandmeshError, match="no"):
        cache.get(KEY, lambda: (_ for _ in ()).throw(HandmeshError("no")))
    assert cache.read(KEY) is None
    assert cache.get(KEY, lambda: b"plan") == b"plan"


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    import os

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HandmeshError, match="No space left.*--cache.$"):
        EngineCache(tmp_path).get(KEY, lambda: b"plan")
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_a_directory_of_everybody_is_not_trusted(tmp_path):
    cache = EngineCache(tmp_path / "open")
    cache.get(KEY, lambda: b"plan")
    cache.directory.chmod(0o777)
    with pytest.raises(HandmeshError, match="Everybody may write"):
        cache.read(KEY)


def test_the_directory_can_be_chosen(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.delenv("HANDMESH_CACHE", raising=False)
    assert str(default_directory()) == "/x/handmesh/engines"
    monkeypatch.setenv("HANDMESH_CACHE", "/y")
    assert str(default_directory()) == "/y"


PROGRAM = """
    import logging, sys, time
    from pathlib import Path
    from handmesh_ros.inference.backends.tensorrt.cache import EngineCache, EngineKey

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    folder = Path(sys.argv[1])

    def build():
        print("builds", flush=True)
        while not (folder / "go").exists():
            time.sleep(0.02)
        return b"plan"

    key = EngineKey("hand", "ab", "tensorrt", "10.3.0", "GPU", "CUDA")
    assert EngineCache(folder / "engines").get(key, build) == b"plan"
"""


def start(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_of_two_processes_one_builds_and_one_waits(tmp_path):
    first = start(tmp_path)
    assert first.stdout.readline() == "builds\n"
    second = start(tmp_path)
    assert second.stdout.readline().startswith("Another process builds")
    (tmp_path / "go").touch()
    assert first.wait(30) == 0 and second.wait(30) == 0
    assert "builds\n" not in second.stdout.read().splitlines(True)


def test_a_builder_that_is_killed_does_not_block_the_next(tmp_path):
    first = start(tmp_path)
    assert first.stdout.readline() == "builds\n"
    first.kill()
    first.wait()
    (tmp_path / "go").touch()
    began = time.monotonic()
    second = start(tmp_path)
    assert second.wait(30) == 0 and time.monotonic() - began < 30
    assert second.stdout.read() == "builds\n"

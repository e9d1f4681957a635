from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from handmesh_ros.common.home import cache_directory, expand, home
from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.tensorrt import cache as engine_cache
from handmesh_ros.inference.backends.tensorrt.cache import (
    EngineCache,
    EngineKey,
    default_directory,
)


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """Make the user one without a home, as in a container that runs with `--user 12345`."""

    def unknown(who):
        raise KeyError(who)

    for name in ("HOME", "XDG_CACHE_HOME", "HANDMESH_CACHE", "ROS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_home_caches_lie_in_the_temporary_folder(nobody):
    assert home() is None
    place = default_directory()
    assert place.is_absolute() and str(os.getuid()) in place.name and not any(nobody.iterdir())


@pytest.mark.parametrize("value", ["~", "relative"])
def test_a_home_that_is_no_place_counts_for_nothing(nobody, monkeypatch, value):
    monkeypatch.setenv("HOME", value)
    assert home() is None and cache_directory("x").is_absolute()


@pytest.mark.parametrize("path", ["~/lengths.yaml", "~somebody/lengths.yaml"])
def test_a_path_below_an_unknown_home_is_one_sentence(nobody, path, monkeypatch):
    with pytest.raises(HandmeshError, match=f"{path} begins at a home that is not known"):
        expand(path)
    monkeypatch.setenv("HANDMESH_CACHE", path)
    with pytest.raises(HandmeshError, match="begins at a home"):
        default_directory()


def test_places_below_a_home_that_is_known(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert expand("~/a") == Path("/home/somebody/a") and expand("a~") == Path("a~")
    assert cache_directory("engines") == Path("/home/somebody/.cache/handmesh/engines")
    monkeypatch.setenv("HANDMESH_CACHE", "~/engines")
    assert default_directory() == Path("/home/somebody/engines")


def test_a_temporary_cache_of_another_user_is_not_trusted(nobody, monkeypatch, tmp_path):
    monkeypatch.setattr(engine_cache, "fallback_directory", lambda name: tmp_path / "engines")
    cache = EngineCache(tmp_path / "engines")
    key = EngineKey("hand model/1", "ab" * 32, "tensorrt", "10.3.0", "GPU A", "CUDA 12.6")
    assert cache.get(key, lambda: b"plan") == b"plan"
    monkeypatch.setattr(os, "getuid", lambda: os.stat(tmp_path).st_uid + 1)
    with pytest.raises(HandmeshError, match="belongs to another user"):
        cache.read(key)


def test_lengths_of_a_user_without_a_home_are_refused_with_a_sentence(nobody):
    pytest.importorskip("yaml")
    from handmesh_ros.ros.calibration.lengths_file import default_path, read_lengths, store_length

    assert read_lengths(default_path()) == {}
    with pytest.raises(HandmeshError, match="calibration_file"):
        store_length(default_path(), 0, 0.18)
    assert not any(nobody.iterdir())


CODE = """
import numpy as np, sys
from pathlib import Path
from handmesh_ros.inference.estimator import Estimator
Estimator.from_file(sys.argv[1], backend="onnxruntime")(np.zeros((48, 64, 3), np.uint8))
"""


@pytest.mark.parametrize("asked", [None, "0"])
def test_onnxruntime_keeps_no_records_of_its_users(tiny_model, tmp_path, asked):
    environment = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    if asked is not None:
        environment["ORT_DISABLE_TELEMETRY"] = asked
    code = CODE + "import os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    command = [sys.executable, "-c", code, str(tiny_model)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (asked or "1")
    if asked is None:
        assert not any(tmp_path.iterdir())

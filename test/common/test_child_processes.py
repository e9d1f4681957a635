"""A folder of photographs with a `random.py`, or a package of ours, in it must not be run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from handmesh_ros.common.child_processes import run_code, run_module, spawn_pool

TRAPS = ("random", "json", "numpy", "onnxruntime", "handmesh_ros", "multiprocessing", "runpy")


@pytest.fixture
def trapped(tmp_path, monkeypatch):
    """Make modules in the working directory that tell when they are run."""
    for name in TRAPS:
        text = f"open({str(tmp_path / 'run')!r}, 'a').write({name!r})\nraise SystemExit(9)\n"
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    return tmp_path


def test_code_and_modules_do_not_import_from_the_working_directory(trapped):
    code = run_code("import random, json, numpy, handmesh_ros, sys; print(sys.path.count(''))")
    done = subprocess.run(code, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr
    module = run_module("handmesh_ros.cli.main", "--version")
    done = subprocess.run(module, capture_output=True, text=True)
    assert done.returncode == 0 and "handmesh_ros" in done.stdout, done.stderr
    assert not (trapped / "run").exists()


def _count_traps(_):
    import random  # noqa: F401

    return sum(path in ("", os.getcwd()) for path in sys.path)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python keeps it out from 3.11 on")
def test_pools_do_not_import_from_the_working_directory(trapped):
    with spawn_pool(1, _nothing, ()) as pool:
        assert pool.map(_count_traps, [0]) == [0]
    assert "PYTHONSAFEPATH" not in os.environ and not (trapped / "run").exists()


def _nothing():
    pass


def test_the_programs_that_start_python_again(trapped, tiny_model):
    """They run where there are photographs, with the caller's packages."""
    pytest.importorskip("openvino")
    start = "from handmesh_ros.inference.backends.cpu_choice import measure_apart\n"
    start += "from pathlib import Path\n"
    code = run_code(start + f"print(measure_apart(Path({str(tiny_model)!r}), 1))")
    done = subprocess.run(code, capture_output=True, text=True)
    assert done.returncode == 0 and "openvino" in done.stdout, done.stderr
    options = ["--backends", "onnxruntime", "--repeat", "1", "--sizes", "64x48"]
    bench = run_module("handmesh_ros.cli.main", "bench", str(tiny_model), *options)
    done = subprocess.run(bench, capture_output=True, text=True)
    assert done.returncode == 0 and not (trapped / "run").exists(), done.stderr

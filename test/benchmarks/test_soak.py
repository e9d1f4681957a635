"""`make soak` in small: some seconds, the tiny network."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "soak.py"


def run(*options: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path()},
        capture_output=True,
        text=True,
        timeout=120,
    )


def path() -> str:
    return f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"


def test_a_short_soak_reports_rate_drops_age_and_memory(tiny_model):
    # In so short a run memory has hardly settled, hence the generous limit.
    ended = run("--minutes", "0.1", "--model", str(tiny_model), "--limit", "40")
    assert ended.returncode == 0, ended.stderr
    lines = dict(line.split(None, 1) for line in ended.stdout.splitlines())
    assert set(lines) >= {"images", "results", "dropped", "age", "memory", "growth"}
    assert int(lines["results"].split()[0]) > 10
    assert re.match(r"p50 \d", lines["age"])


def test_too_much_memory_fails(tiny_model):
    ended = run("--minutes", "0.1", "--model", str(tiny_model), "--limit", "400", "--most", "20")
    assert ended.returncode == 1
    assert "soak: resident memory was above 20 MB" in ended.stderr


def test_a_detector_that_does_not_start_is_one_sentence():
    ended = run("--minutes", "0.1", "--model", "/nowhere/model.onnx")
    assert ended.returncode == 1
    assert "soak: the detector does not start" in ended.stderr


def test_growth_is_what_comes_after_the_warm_up():
    spec = importlib.util.spec_from_file_location("soak", SCRIPT)
    soak = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(soak)
    warm = np.concatenate([np.linspace(100, 200, 20), np.full(80, 200.0)])
    assert soak.growth_mib(warm) == 0.0
    noisy = warm + np.random.default_rng(0).choice([0.0, 3.0], 100, p=[0.9, 0.1])
    assert soak.growth_mib(noisy) == 0.0
    leaking = 200 + 0.1 * np.arange(100)
    assert 5.0 < soak.growth_mib(leaking) < 6.0

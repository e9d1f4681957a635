"""A short run of every target of `make fuzz`, the same each time."""

import contextlib
import importlib.util
import io
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")
pytest.importorskip("rosbags", reason="needs rosbags: run `make test`")
pytest.importorskip("mcap", reason="needs mcap: run `make test`")

import fuzz_files
import fuzz_media
import fuzz_messages
from hypothesis import HealthCheck, given, settings

pytestmark = pytest.mark.ros

TARGETS = {**fuzz_messages.TARGETS, **fuzz_files.TARGETS, **fuzz_media.TARGETS}
EXAMPLES = 60
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run(name):
    check, strategies = TARGETS[name]
    short = settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    short(given(**strategies)(check))()


def test_make_fuzz_counts_what_it_tried_and_names_the_seed_of_what_breaks(monkeypatch):
    spec = importlib.util.spec_from_file_location("fuzz_script", ROOT / "scripts" / "fuzz.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert script.main(["--seconds", "0.1", "--target", "stamps"]) == 0
    assert "stamps" in said.getvalue() and "200 examples, no promise broken" in said.getvalue()

    def broken(stamps, nows):
        assert len(stamps) < 2

    _, strategies = fuzz_messages.TARGETS["stamps"]
    monkeypatch.setitem(fuzz_messages.TARGETS, "stamps", (broken, strategies))
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert script.main(["--seconds", "0.1", "--target", "stamps", "--seed", "5"]) == 1
    assert "fuzz: stamps fails with --seed 5." in said.getvalue()

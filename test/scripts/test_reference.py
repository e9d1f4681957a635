"""The reference pages are those of the code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("lightning", reason="needs the extra [train]: run `make test`")

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location(
    "write_reference", ROOT / "scripts" / "write_reference.py"
)
reference = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(reference)


@pytest.mark.parametrize(
    ("path", "text"), reference.pages().items(), ids=["yaml", "parameters", "cli", "messages"]
)
def test_it_is_not_stale(path, text):
    assert path.read_text("utf-8") == text, "run `make docs`"


def test_every_command_and_option_is_listed():
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert page.count("## handmesh ") == len(reference.COMMANDS)
    assert "| `--effort {fast,balanced,best}` |" in page and "| `PATH [PATH ...]` |" in page

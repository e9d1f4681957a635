"""The rooms of ARCHITECTURE.md, "Layout": who may import whom, and how much a room holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = [
    path
    for folder in ("handmesh_ros", "benchmarks", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
MOST_MODULES, MOST_LINES = 17, 400


def test_the_import_contracts_hold():
    pytest.importorskip("importlinter", reason="needs the extra [dev]: run `make test`")
    # In a process of its own: import-linter changes how this one logs.
    code = (
        "from importlinter.cli import lint_imports as lint; raise SystemExit(lint(no_cache=True))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "folder", sorted({path.parent for path in MODULES}), ids=lambda folder: folder.name
)
def test_no_folder_is_crowded(folder):
    assert len(list(folder.glob("[!_]*.py"))) <= MOST_MODULES


def test_no_module_is_long():
    lines = {str(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}

"""Fixtures for every room; `test/` is on the import path, so `import tiny_graph` works below."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of an .onnx file with its sidecar that finds two constant hands (`tiny_graph`)."""
    import tiny_graph
    from handmesh_ros.runtime.sidecar import HandModelReference

    reference = HandModelReference("open_hand", "", tiny_graph.VERTICES)
    return tiny_graph.write_tiny_model(tmp_path_factory.mktemp("tiny"), hand_model=reference)

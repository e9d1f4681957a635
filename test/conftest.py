"""Fixtures for every room; `test/` is on the import path, so `import tiny_graph` works below."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep engines and measured choices out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HANDMESH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of an .onnx file with its sidecar that finds two constant hands (`tiny_graph`)."""
    import tiny_graph

    return tiny_graph.write_tiny_model(tmp_path_factory.mktemp("tiny"))

"""Fixtures for every room; `test/` is on the import path, so `import tiny_graph` works below."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Threads cost more than they save on inputs this small; programs that tests start inherit it.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
    os.environ.setdefault(variable, "1")

# A shell's background jobs ignore it, and the programs that tests interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Other nodes on this machine, those of pytest-xdist's other workers too, must not be heard.
_until_the_end = contextlib.ExitStack()
try:
    from domain_coordinator import domain_id
except ImportError:  # There is no ROS 2.
    pass
else:
    os.environ["ROS_DOMAIN_ID"] = str(_until_the_end.enter_context(domain_id()))

# Read when MuJoCo is first imported: it renders without a window.
os.environ.setdefault("MUJOCO_GL", "egl")

# The user's stored hand lengths must not count.
os.environ["ROS_HOME"] = tempfile.mkdtemp(prefix="ros_home_")


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


@pytest.fixture(scope="session")
def ros() -> Iterator[Any]:
    """rclpy, initialised; skips where ROS 2 or the built messages are missing."""
    rclpy = pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
    pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")
    rclpy.init()
    yield rclpy
    rclpy.try_shutdown()

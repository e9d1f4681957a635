"""Which CPU backend is faster here: measured once per model and machine, and remembered."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import platform
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from handmesh_ros.common.child_processes import run_module
from handmesh_ros.common.files import parse_json
from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.tensorrt.cache import default_directory, write_atomically

logger = logging.getLogger(__name__)

USUAL, OTHER = "onnxruntime", "openvino"
WORTH_IT = 0.9
"""OpenVINO starts later and takes more memory: it must take less than this share of the time."""

_FORMAT = "handmesh-cpu-choice"
_PATIENCE_S = 120.0


def choose(
    onnx_sha256: str, threads: int | None, measure: Callable[[], dict[str, float]]
) -> tuple[str, str]:
    """Return the faster CPU backend's name, and why, for the log.

    The first time both are measured; the result is kept as a small JSON file beside the engines
    and holds for this graph, processor, number of threads and versions. Without a place to keep
    it, it is measured at each start.

    Args:
        onnx_sha256: of the graph.
        threads: as for `open_backend`.
        measure: returns the milliseconds of one run by backend, such as `measure_apart`.
    """
    try:
        versions = {name: _version(name) for name in (USUAL, OTHER)}
    except ImportError as error:
        return USUAL, f"{OTHER} cannot be used: {error}"
    key: dict[str, object] = {
        "format": _FORMAT,
        "onnx_sha256": onnx_sha256,
        "threads": threads,
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        **versions,
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    path = default_directory() / f"cpu-{digest[:16]}.json"
    milliseconds = _read(path, key)
    if milliseconds is None:
        try:
            milliseconds = measure()
        except HandmeshError as error:
            return USUAL, f"{OTHER} cannot be used: {error}"
        _write(path, {**key, "milliseconds": milliseconds})
    chosen = OTHER if milliseconds[OTHER] < WORTH_IT * milliseconds[USUAL] else USUAL
    try:
        importlib.import_module(chosen)
    except ImportError as error:
        return USUAL, f"{OTHER} cannot be used: {error}"
    times = ", ".join(f"{name} {value:.1f} ms" for name, value in milliseconds.items())
    return chosen, f"{times} (measured once, {path})"


def processor() -> str:
    """Return the CPU's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(name: str) -> str:
    """Return a package's version, without loading it where that can be: OpenVINO keeps 30 MB."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return str(importlib.import_module(name).__version__)


def measure_apart(path: Path, threads: int | None) -> dict[str, float]:
    """Measure both in a process of its own: what they load there does not stay in this one.

    Args:
        path: of the graph.
        threads: as for `open_backend`.

    Returns:
        Milliseconds of one run by backend.

    Raises:
        HandmeshError: one of them cannot be used.
    """
    command = run_module(
        "handmesh_ros.inference.backends.cpu_timing", str(path), str(threads or 0)
    )
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HandmeshError(f"it could not be measured ({error}).") from error
    lines = ended.stdout.splitlines()
    if ended.returncode or not lines:
        reason = (ended.stderr.splitlines() or ["it ended without a word"])[-1]
        raise HandmeshError(f"it could not be measured: {reason}")
    milliseconds: dict[str, float] = json.loads(lines[-1])
    return milliseconds


def _read(path: Path, key: dict[str, object]) -> dict[str, float] | None:
    try:
        content = parse_json(path.read_bytes())
        if any(content[name] != value for name, value in key.items()):
            return None
        return {name: float(content["milliseconds"][name]) for name in (USUAL, OTHER)}
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _write(path: Path, content: dict[str, object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
    except OSError as error:
        logger.warning(
            "The faster CPU backend is measured again at the next start, because %s cannot be "
            "written (%s): choose another directory with HANDMESH_CACHE",
            path,
            error.strerror,
        )

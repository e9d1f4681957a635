"""TensorRT and TensorRT-RTX as libraries: which versions work, and from ONNX to an engine."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handmesh_ros.errors import HandmeshError

logger = logging.getLogger(__name__)

LIBRARIES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
"""Python module → name for people."""

OLDEST = {"tensorrt": (8, 5), "tensorrt_rtx": (1, 0)}
NEWEST_MAJOR = {"tensorrt": 11, "tensorrt_rtx": 1}

WORKSPACE_BYTES = 1 << 30
"""Scratch memory of the GPU that one layer may use."""

OPEN = -1
"""Stands for a dimension that a graph leaves open."""

USUAL_BATCH = 2
"""What engines of graphs with an open batch are fastest at: a person has two hands."""

BUILD_OPTIONS = f"workspace {WORKSPACE_BYTES}"
"""Part of the cache key: whatever else changes an engine."""

_HOW_TO_INSTALL = {
    "tensorrt": "pip install tensorrt cuda-bindings (a Jetson brings TensorRT with JetPack)",
    "tensorrt_rtx": "pip install tensorrt-rtx-cu13 cuda-bindings",
}
_LEVELS = (logging.ERROR, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
"""By TensorRT's severity: internal error, error, warning, info, verbose."""


def check_installed(name: str) -> None:
    """Check that TensorRT or TensorRT-RTX is installed, without loading it.

    Args:
        name: a key of `LIBRARIES`.

    Raises:
        HandmeshError: it is not.
    """
    if importlib.util.find_spec(name) is None:
        raise HandmeshError(
            f"The backend {name} needs {LIBRARIES[name]}, which is not installed: "
            f"{_HOW_TO_INSTALL[name]}."
        )


def load_library(name: str) -> Any:
    """Import TensorRT or TensorRT-RTX.

    Args:
        name: a key of `LIBRARIES`.

    Returns:
        The module.

    Raises:
        HandmeshError: it is not installed, does not load, or is of a version that this code does
            not know.
    """
    check_installed(name)
    title = LIBRARIES[name]
    try:
        trt = importlib.import_module(name)
    except ImportError as error:
        raise HandmeshError(
            f"The backend {name} needs {title}, which does not load ({_first_line(error)}): "
            f"{_HOW_TO_INSTALL[name]}."
        ) from error
    major, minor = (int(part) for part in trt.__version__.split(".")[:2])
    oldest, newest = OLDEST[name], NEWEST_MAJOR[name]
    if (major, minor) < oldest or major > newest:
        raise HandmeshError(
            f"{title} {trt.__version__} does not fit: handmesh_ros works with "
            f"{oldest[0]}.{oldest[1]} to {newest}.x, so install one of these or choose the "
            f"backend onnxruntime."
        )
    return trt


@functools.cache
def library_logger(trt: Any) -> Any:
    """Return the one logger of a library: it writes to Python's log and keeps the errors.

    TensorRT holds on to the first logger that it gets for as long as the process lives.
    """

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            level = _LEVELS[int(severity)]
            if level >= logging.ERROR:
                self.errors.append(message.strip())
            # What TensorRT calls information is debugging for us.
            logger.log(level if level >= logging.WARNING else logging.DEBUG, message)

    return Logger()


def build_engine(trt: Any, graph: bytes, path: Path, largest_batch: int = 1) -> bytes:
    """Turn a graph into an engine; takes seconds to minutes.

    Precision is that of the graph's tensors: networks are strongly typed where the library can
    (10 and later); on 8.x a graph with float16 tensors allows float16 and asks each layer for
    the type that the graph gives it, and one with Q/DQ pairs allows int8.

    Args:
        trt: a module of `load_library`.
        graph: content of the .onnx file.
        path: of the file, for messages.
        largest_batch: of a graph that leaves the first dimension of its inputs open, which may be
            1 to this number in one run.

    Returns:
        The serialized engine.

    Raises:
        HandmeshError: the graph cannot be parsed or no engine can be built from it.
    """
    messages = library_logger(trt)
    messages.errors.clear()
    builder = trt.Builder(messages)
    if builder is None:
        raise _build_failed(trt, path, messages.errors)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, messages)
    if not parser.parse(graph):
        problems = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise HandmeshError(
            f"{_title(trt)} cannot read {path} ({_shorten(problems)}): export the model again "
            f"with `handmesh export`, or choose the backend onnxruntime."
        )
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    _allow_batches(builder, network, config, largest_batch)
    if not hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        _keep_types(trt, network, config)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _build_failed(trt, path, messages.errors)
    return bytes(plan)


def _network_flags(trt: Any) -> int:
    """Strongly typed where that exists; bit positions differ between versions."""
    flags = trt.NetworkDefinitionCreationFlag
    flag = flags.STRONGLY_TYPED if hasattr(flags, "STRONGLY_TYPED") else flags.EXPLICIT_BATCH
    return 1 << int(flag)


def _allow_batches(builder: Any, network: Any, config: Any, largest: int) -> None:
    """Add the optimisation profile of a graph with an open first dimension."""
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    if all(tuple(tensor.shape)[0] != OPEN for tensor in inputs):
        return
    profile = builder.create_optimization_profile()
    for tensor in inputs:
        rest = tuple(tensor.shape)[1:]
        sizes = (1, min(USUAL_BATCH, largest), largest)
        profile.set_shape(tensor.name, *((size, *rest) for size in sizes))
    config.add_optimization_profile(profile)


def _keep_types(trt: Any, network: Any, config: Any) -> None:
    """TensorRT 8: let each floating-point layer compute in the type that the graph gives it."""
    floating = (trt.DataType.FLOAT, trt.DataType.HALF)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    if any(layer.type == trt.LayerType.QUANTIZE for layer in layers):
        config.set_flag(trt.BuilderFlag.INT8)
    if not any(trt.DataType.HALF in _output_types(layer) for layer in layers):
        return
    config.set_flag(trt.BuilderFlag.FP16)
    config.set_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)
    for layer in layers:
        types = list(_output_types(layer))
        if layer.type != trt.LayerType.CONSTANT and types and set(types) <= set(floating):
            layer.precision = types[0]
            for index, dtype in enumerate(types):
                layer.set_output_type(index, dtype)


def _output_types(layer: Any) -> Iterator[Any]:
    return (layer.get_output(index).dtype for index in range(layer.num_outputs))


def _build_failed(trt: Any, path: Path, errors: list[str]) -> HandmeshError:
    reason = _shorten(errors)
    if any("memory" in message.lower() for message in errors):
        remedy = "end other programs that use the GPU and try again"
    else:
        remedy = "choose the backend onnxruntime and report this with both versions"
    return HandmeshError(f"{_title(trt)} cannot build an engine of {path} ({reason}): {remedy}.")


def _title(trt: Any) -> str:
    return f"{LIBRARIES[trt.__name__]} {trt.__version__}"


def _shorten(messages: list[str]) -> str:
    text = " ".join(messages[0].split()) if messages else "no reason given"
    return text.rstrip(".") if len(text) <= 200 else text[:200] + "…"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

"""TensorRT 8.5 to 11 and TensorRT-RTX: engines on an NVIDIA GPU, built once and cached."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.base import check_interface, input_shapes, read_graph
from handmesh_ros.inference.backends.tensorrt.build import (
    BUILD_OPTIONS,
    LIBRARIES,
    build_engine,
    check_installed,
    library_logger,
    load_library,
)
from handmesh_ros.inference.backends.tensorrt.cache import EngineCache, EngineKey
from handmesh_ros.inference.backends.tensorrt.cuda import Cuda, Device, open_cuda
from handmesh_ros.inference.backends.tensorrt.runner import EngineRunner, Tensor, engine_tensors
from handmesh_ros.inference.sidecar import Sidecar

logger = logging.getLogger(__name__)


class TensorRtBackend:
    """Runs an exported graph with TensorRT or TensorRT-RTX on the first visible GPU.

    The engine comes from the cache; where there is none for this graph, library and GPU it is
    built, which takes minutes, once. Outputs are the backend's own arrays and change with the
    next call.

    Args:
        path: NAME.onnx; its sidecar NAME.json lies beside it.
        library: "tensorrt" or "tensorrt_rtx".
        cache: directory of the engines; None takes the user's.

    Attributes:
        name: what runs it and where, for people.
        sidecar: the description of the graph.
        has_graph: whether calls launch one CUDA graph.
        device_memory: bytes on the GPU for weights (as large as the engine), activations and
            buffers, without what CUDA and the library need themselves.

    Raises:
        HandmeshError: the library, the driver or the GPU is missing or does not fit, the file is
            damaged, the engine cannot be built, kept or run; the message says which.
    """

    def __init__(
        self, path: str | Path, *, library: str = "tensorrt", cache: str | Path | None = None
    ) -> None:
        path = Path(path)
        check_installed(library)
        # Asked before it is loaded: the library keeps 100 MB also where there is no GPU, and
        # without a driver `trt.Runtime` ends the whole process when it is freed.
        cuda = open_cuda()
        trt = load_library(library)
        self.sidecar, graph = read_graph(path)
        engines = self._engines = EngineCache(cache)
        key = self._key = engine_key(self.sidecar, trt, cuda.device)
        build = _logged_build(trt, graph, path, self.sidecar)
        plan = engines.get(key, build)
        runtime = trt.Runtime(library_logger(trt))
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            logger.warning("The engine %s does not load: it is built again", engines.path(key))
            plan = engines.get(key, build, force=True)
            engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise _cannot_load(trt, cuda)
        _check_engine(path, self.sidecar, engine_tensors(trt, engine))
        self._runner = EngineRunner(trt, cuda, engine)
        self._runtime, self._engine = runtime, engine
        self.has_graph = self._runner.has_graph
        self.device_memory = self._runner.device_memory + len(plan)
        self.name = f"{LIBRARIES[library]} {trt.__version__} on {cuda.device.name}"

    def infer(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run the graph once; see `Backend`."""
        return self._runner.run(dict(zip(input_shapes(self.sidecar), inputs, strict=True)))

    def refuse(self, reason: str) -> None:
        """Mark the engine in the cache, so that it is not loaded again.

        Raises:
            HandmeshError: the cache cannot be written to.
        """
        self._engines.refuse(self._key, reason)

    def close(self) -> None:
        """Free the memory on the GPU."""
        self._runner.close()
        del self._engine, self._runtime


def build_only(
    path: str | Path,
    library: str = "tensorrt",
    cache: str | Path | None = None,
    *,
    force: bool = False,
) -> Path:
    """Build the engine of a graph and keep it, without running it.

    TensorRT measures on the GPU while it builds; TensorRT-RTX needs no GPU for it.

    Args:
        path: NAME.onnx; its sidecar NAME.json lies beside it.
        library: "tensorrt" or "tensorrt_rtx".
        cache: directory of the engines; None takes the user's.
        force: build even if there is an engine already.

    Returns:
        The path of the engine.

    Raises:
        HandmeshError: as `TensorRtBackend`.
    """
    path = Path(path)
    trt = load_library(library)
    device = None if library == "tensorrt_rtx" else open_cuda().device
    sidecar, graph = read_graph(path)
    engines, key = EngineCache(cache), engine_key(sidecar, trt, device)
    engines.get(key, _logged_build(trt, graph, path, sidecar), force=force)
    return engines.path(key)


def engine_key(sidecar: Sidecar, trt: Any, device: Device | None) -> EngineKey:
    """Return what the engine of a graph depends on.

    Args:
        sidecar: of the graph.
        trt: TensorRT or TensorRT-RTX.
        device: the GPU; may be None for TensorRT-RTX, whose engines fit every GPU that it knows.
    """
    gpu = driver = "any"
    if trt.__name__ == "tensorrt":
        assert device is not None
        gpu = (
            f"{device.name}, compute capability {device.compute_capability}, "
            f"{device.multiprocessors} multiprocessors"
        )
        driver = device.driver
    return EngineKey(
        model_id=sidecar.model_id,
        onnx_sha256=sidecar.onnx_sha256,
        library=trt.__name__,
        version=trt.__version__,
        gpu=gpu,
        driver=driver,
        options=BUILD_OPTIONS,
    )


def _logged_build(trt: Any, graph: bytes, path: Path, sidecar: Sidecar) -> Callable[[], bytes]:
    def build() -> bytes:
        title = f"{LIBRARIES[trt.__name__]} {trt.__version__}"
        wait = "seconds" if trt.__name__ == "tensorrt_rtx" else "one to ten minutes"
        logger.warning("%s builds the engine of %s: %s, once", title, path.name, wait)
        start = time.monotonic()
        plan = build_engine(trt, graph, path, sidecar.max_hands)
        logger.info(
            "%s built in %.0f s, %.1f MB", path.name, time.monotonic() - start, len(plan) / 1e6
        )
        return plan

    return build


def _check_engine(path: Path, sidecar: Sidecar, tensors: dict[str, Tensor]) -> None:
    inputs: dict[str, tuple[int | str | None, ...]] = {}
    outputs: dict[str, tuple[int | str | None, ...]] = {}
    for name, tensor in tensors.items():
        (inputs if tensor.is_input else outputs)[name] = tensor.shape
    check_interface(path, sidecar, inputs, outputs)
    pixels = next(iter(input_shapes(sidecar)))
    wrong = [name for name, t in tensors.items() if (t.dtype == np.uint8) != (name == pixels)]
    if wrong:
        raise HandmeshError(
            f"The tensor `{wrong[0]}` of {path} has the type {tensors[wrong[0]].dtype}, but only "
            f"`{pixels}` is uint8 and all others are float32: export the model again with "
            f"`handmesh export`."
        )


def _cannot_load(trt: Any, cuda: Cuda) -> HandmeshError:
    errors = library_logger(trt).errors
    if any("memory" in message.lower() for message in errors):
        return HandmeshError(cuda.out_of_memory("the network"))
    reason = " ".join(errors[-1].split())[:200].rstrip(".") if errors else "no reason given"
    return HandmeshError(
        f"{LIBRARIES[trt.__name__]} {trt.__version__} does not load the engine that it has just "
        f"built for {cuda.device.name} ({reason}): check that the library supports this GPU "
        f"(compute capability {cuda.device.compute_capability}), or choose the backend "
        f"onnxruntime."
    )

"""Which backend runs a graph: by name, or the first that works here."""

from __future__ import annotations

import functools
import importlib.util
import logging
from functools import partial
from pathlib import Path
from typing import Protocol

from handmesh_ros.common.imports import plain_errors, reinstall, remedy
from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.base import Backend
from handmesh_ros.inference.models import BUNDLED_MODELS
from handmesh_ros.inference.sidecar import Sidecar

logger = logging.getLogger(__name__)

BACKEND_NAMES = (
    "tensorrt",
    "tensorrt_rtx",
    "onnxruntime",
    "openvino",
    "openvino_bf16",
    "torch",
)
"""What `open_backend` accepts besides "auto"."""

AUTO_ORDER = ("tensorrt", "tensorrt_rtx", "onnxruntime")
"""What "auto" tries for a graph, of what is installed; on a CPU openvino may replace the last."""

_INSTALL = {
    "tensorrt": "tensorrt cuda-bindings",
    "tensorrt_rtx": "tensorrt-rtx-cu13 cuda-bindings",
    "onnxruntime": "onnxruntime",
    "openvino": "'.[openvino]'",
    "torch": "'.[train]'",
}
"""What pip installs for the module of that name."""


class Opener(Protocol):
    """Loads a graph: `open_backend`, or something that shares what it opened."""

    def __call__(
        self, path: str | Path, backend: str = "auto", *, threads: int | None = None
    ) -> Backend:
        """See `open_backend`."""


def open_backend(
    path: str | Path, backend: str = "auto", *, threads: int | None = None
) -> Backend:
    """Load a graph.

    Args:
        path: an exported graph NAME.onnx with its sidecar NAME.json beside it, or a training
            checkpoint NAME.ckpt.
        backend: "auto" or one of `BACKEND_NAMES`. "auto" takes torch for a checkpoint; for a
            graph it takes TensorRT or TensorRT-RTX where one is installed, and ONNX Runtime
            where it is not or cannot be used, which it logs. Where ONNX Runtime would run on the
            CPU and OpenVINO is installed, the faster of both (`cpu_choice.choose`).
        threads: CPU threads inside one run; None lets the backend choose.

    Raises:
        HandmeshError: the file is missing, damaged or does not fit this version or the backend,
            or the backend is unknown or not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise HandmeshError(
            f"There is no model at {path}: give the path of an exported .onnx file or a .ckpt, "
            f"or one of the bundled {', '.join(BUNDLED_MODELS)}."
        )
    if path.suffix not in (".onnx", ".ckpt"):
        raise HandmeshError(
            f"{path} is no model: give an exported .onnx file or a .ckpt training checkpoint."
        )
    check_name(backend)
    is_checkpoint = path.suffix == ".ckpt"
    if backend != "auto":
        candidates = [backend]
    elif is_checkpoint:
        candidates = ["torch"]
    else:
        accelerated = AUTO_ORDER[:-1]
        candidates = [name for name in accelerated if importlib.util.find_spec(name)]
        candidates.append(AUTO_ORDER[-1])
    for name, fallback in zip(candidates, candidates[1:], strict=False):
        try:
            return _open_and_say(path, name, threads)
        except HandmeshError as error:
            _warn_once(f"The backend {name} is not used, {fallback} is next: {error}")
    if backend == "auto" and not is_checkpoint and _has_openvino():
        return _open_gpu_or_faster(path, threads)
    return _open_and_say(path, candidates[-1], threads)


@functools.cache
def _warn_once(text: str) -> None:
    """Warn, once in a process: several models are opened alike."""
    logger.warning(text)


def check_name(backend: str) -> None:
    """Check that `open_backend` knows a name.

    Raises:
        HandmeshError: it does not.
    """
    if backend not in ("auto", *BACKEND_NAMES):
        raise HandmeshError(
            f"There is no backend {backend!r}: choose auto, {', '.join(BACKEND_NAMES[:-1])} "
            f"or {BACKEND_NAMES[-1]}."
        )


def module_of(backend: str) -> str:
    """Return the module that the backend of that name needs."""
    return backend.removesuffix("_bf16")


def _has_openvino() -> bool:
    return all(importlib.util.find_spec(name) for name in ("openvino", "onnxruntime"))


def _open_gpu_or_faster(path: Path, threads: int | None) -> Backend:
    """Open ONNX Runtime where it runs on the GPU, otherwise the faster one on the CPU."""
    from handmesh_ros.inference.backends.cpu_choice import USUAL

    # The CUDA build lists its provider on machines without CUDA, too: only a session tells.
    opened = _open(path, USUAL, threads) if _lists_cuda() else None
    if not getattr(opened, "on_gpu", False):
        name = _faster_on_cpu(path, threads)
        if opened is None or name != USUAL:
            if opened is not None:
                opened.close()
            opened = _open(path, name, threads)
    assert opened is not None
    logger.info("%s runs on %s", path.name, opened.name)
    return opened


def _lists_cuda() -> bool:
    try:
        with plain_errors():
            import onnxruntime
    except ImportError:
        return True  # `_open` says what is wrong with it.
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _faster_on_cpu(path: Path, threads: int | None) -> str:
    from handmesh_ros.inference.backends import cpu_choice

    sha256 = Sidecar.read(path.with_suffix(".json")).onnx_sha256
    measure = partial(cpu_choice.measure_apart, path, threads)
    name, reason = cpu_choice.choose(sha256, threads, measure)
    logger.info("The CPU backend is %s: %s", name, reason)
    return name


def _open_and_say(path: Path, name: str, threads: int | None) -> Backend:
    opened = _open(path, name, threads)
    logger.info("%s runs on %s", path.name, opened.name)
    return opened


def _open(path: Path, name: str, threads: int | None) -> Backend:
    if (path.suffix == ".ckpt") != (name == "torch"):
        raise HandmeshError(
            f"The backend {name} cannot load {path.name}: torch runs .ckpt training checkpoints, "
            f"the others run exported .onnx files."
        )
    module = module_of(name)
    if importlib.util.find_spec(module) is None:
        raise HandmeshError(
            f"The backend {name} needs the package {module}, which is not installed: "
            f"pip install {_INSTALL[module]}."
        )
    try:
        with plain_errors():
            importlib.import_module(module)
        return _load(path, name, threads)
    except ImportError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise HandmeshError(
            f"The backend {name} needs the package {module}, which does not load ({reason}): "
            f"{remedy(str(error), reinstall(_INSTALL[module]))}."
        ) from error


def _load(path: Path, name: str, threads: int | None) -> Backend:
    opened: Backend
    if name == "torch":
        from handmesh_ros.inference.backends.torch import TorchBackend

        opened = TorchBackend(path, threads=threads)
    elif name == "onnxruntime":
        from handmesh_ros.inference.backends.onnxruntime import OnnxRuntimeBackend

        opened = OnnxRuntimeBackend(path, threads=threads)
    elif module_of(name) == "openvino":
        from handmesh_ros.inference.backends.openvino import OpenVinoBackend

        precision = "bfloat16" if name == "openvino_bf16" else "float32"
        opened = OpenVinoBackend(path, threads=threads, precision=precision)
    else:
        from handmesh_ros.inference.backends.tensorrt.backend import TensorRtBackend

        opened = TensorRtBackend(path, library=name)
    return opened

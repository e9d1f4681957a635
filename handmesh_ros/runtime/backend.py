"""What runs the graph: one small protocol, one module per runtime library."""

from __future__ import annotations

import functools
import importlib.util
import logging
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import KEYPOINT_NAMES, MODEL_JOINT_NAMES
from handmesh_ros.imports import plain_errors, reinstall, remedy
from handmesh_ros.runtime.models import BUNDLED_MODELS
from handmesh_ros.runtime.sidecar import CROPS, Sidecar

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

SHAPE_COUNT = 10


class Backend(Protocol):
    """Runs one graph.

    Attributes:
        name: what runs it and where, for people, such as "ONNX Runtime 1.20 on CPU, 2 threads".
        sidecar: the description of the graph.
    """

    name: str
    sidecar: Sidecar

    def __call__(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run the graph once.

        Args:
            inputs: as `input_shapes` says, in its order; not kept and not changed. Of a graph that
                takes an image, [1, H, W, 3] uint8 RGB, letterboxed, and [1, 4] float32 fx, fy, cx,
                cy in its pixels. Of one that takes crops, [N, H, W, 3] uint8 RGB, [N, 2, 3]
                float32 similarities from crop pixels to image pixels, and [N, 4] float32 fx, fy,
                cx, cy in image pixels; N is 1 or more.

        Returns:
            The outputs by name, as `output_shapes` says, float32; the next call may overwrite
            them.
        """

    def close(self) -> None:
        """Free the memory of the graph; the backend cannot be used afterwards."""


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
            f"or one of the bundled {' and '.join(BUNDLED_MODELS)}."
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
    from handmesh_ros.runtime.cpu_choice import USUAL

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
    from handmesh_ros.runtime import cpu_choice

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
        from handmesh_ros.runtime.torch_backend import TorchBackend

        opened = TorchBackend(path, threads=threads)
    elif name == "onnxruntime":
        from handmesh_ros.runtime.onnxruntime_backend import OnnxRuntimeBackend

        opened = OnnxRuntimeBackend(path, threads=threads)
    elif module_of(name) == "openvino":
        from handmesh_ros.runtime.openvino_backend import OpenVinoBackend

        precision = "bfloat16" if name == "openvino_bf16" else "float32"
        opened = OpenVinoBackend(path, threads=threads, precision=precision)
    else:
        from handmesh_ros.runtime.tensorrt_backend import TensorRtBackend

        opened = TensorRtBackend(path, library=name)
    return opened


def read_graph(path: Path) -> tuple[Sidecar, bytes]:
    """Read NAME.onnx and its sidecar NAME.json and check that they belong together.

    Raises:
        HandmeshError: one is missing, damaged, or does not fit the other or this version.
    """
    sidecar = Sidecar.read(path.with_suffix(".json"))
    try:
        graph = path.read_bytes()
    except OSError as error:
        raise HandmeshError(
            f"Cannot read the model {path} ({error.strerror}): check the path and its rights."
        ) from error
    sidecar.check_graph(graph, path)
    return sidecar, graph


def input_shapes(sidecar: Sidecar) -> dict[str, tuple[int, ...]]:
    """Return the shape of every input of the graph that `sidecar` describes, in its order.

    Of crops, the shapes are those of the largest batch.
    """
    height, width = sidecar.input_size
    if sidecar.takes == CROPS:
        count = sidecar.max_hands
        return {
            "crops": (count, height, width, 3),
            "to_image": (count, 2, 3),
            "intrinsics": (count, 4),
        }
    return {"image": (1, height, width, 3), "intrinsics": (1, 4)}


def trial_inputs(sidecar: Sidecar) -> tuple[np.ndarray, ...]:
    """Return inputs of noise, to run a graph on once or to time it: one image, or two crops."""
    height, width = sidecar.input_size
    count = 2 if sidecar.takes == CROPS else 1
    pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    camera = np.array([[width, width, width / 2, height / 2]] * count, np.float32)
    if sidecar.takes == CROPS:
        return pixels, np.repeat(np.eye(2, 3, dtype=np.float32)[None], count, axis=0), camera
    return pixels, camera


def output_shapes(sidecar: Sidecar) -> dict[str, tuple[int, ...]]:
    """Return the shape of every output of the graph that `sidecar` describes.

    Of crops, the shapes are those of the largest batch.
    """
    slots, vertices = sidecar.max_hands, sidecar.hand_model.vertices
    keypoints = len(KEYPOINT_NAMES)
    shapes = {
        "score": (slots,),
        "handedness": (slots,),
        "centre": (slots, 2),
        "box": (slots, 4),
        "joints_2d": (slots, keypoints, 2),
        "joints": (slots, keypoints, 3),
        "vertices": (slots, vertices, 3),
        "rotations": (slots, len(MODEL_JOINT_NAMES), 3, 3),
        "shape": (slots, SHAPE_COUNT),
        "translation": (slots, 3),
        "colors": (slots, vertices, 3),
    }
    if sidecar.takes == CROPS:
        shapes["keypoint_scores"] = (slots, keypoints)
    return shapes


def check_interface(
    path: Path,
    sidecar: Sidecar,
    inputs: dict[str, tuple[int | str | None, ...]],
    outputs: dict[str, tuple[int | str | None, ...]],
) -> None:
    """Check a graph's inputs and outputs (name → shape) against its sidecar.

    Dimensions that the graph leaves open (None or a name) pass.

    Raises:
        HandmeshError: an input or output is missing or has another shape.
    """
    for kind, found, expected in (
        ("input", inputs, input_shapes(sidecar)),
        ("output", outputs, output_shapes(sidecar)),
    ):
        for name, shape in expected.items():
            if name not in found or not _matches(found[name], shape):
                state = f"shape {list(found[name])}" if name in found else "no such tensor"
                raise HandmeshError(
                    f"The {kind} `{name}` of {path} should have shape {list(shape)} but has "
                    f"{state}: export the model again with `handmesh export`."
                )
        if kind == "input" and set(found) != set(expected):
            raise HandmeshError(
                f"{path} wants the inputs {sorted(found)}, the runtime gives "
                f"{sorted(expected)}: export the model again with `handmesh export`."
            )


def _matches(found: tuple[int | str | None, ...], expected: tuple[int, ...]) -> bool:
    return len(found) == len(expected) and all(
        length == wanted
        for length, wanted in zip(found, expected, strict=True)
        if isinstance(length, int)
    )

"""ONNX Runtime: the default backend, on the CPU or, where its CUDA provider loads, on the GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.base import (
    check_interface,
    input_shapes,
    output_shapes,
    read_graph,
)

_ERRORS_ONLY = 3
_PROVIDERS = {"CUDAExecutionProvider": "CUDA", "CPUExecutionProvider": "CPU"}


class OnnxRuntimeBackend:
    """Runs an exported graph with ONNX Runtime.

    Args:
        path: NAME.onnx; its sidecar NAME.json lies beside it.
        threads: CPU threads inside one run; None lets ONNX Runtime take one per physical core.
        cuda: whether to run on the GPU where the CUDA provider loads.

    Attributes:
        on_gpu: whether it does; the CUDA build lists its provider on machines without CUDA, too.

    Raises:
        HandmeshError: the file is damaged or not the one that its sidecar describes.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None, cuda: bool = True) -> None:
        path = Path(path)
        self.sidecar, graph = read_graph(path)
        source: bytes | str = graph
        if _is_text(path):  # What ONNX Runtime reads itself it keeps once, bytes twice.
            source = str(path)
        del graph
        try:
            self._session = onnxruntime.InferenceSession(
                source, sess_options=_session_options(threads), providers=_providers(cuda)
            )
        except Exception as error:  # ONNX Runtime's exceptions share no base class but this one.
            reason = str(error).splitlines()[0]
            raise HandmeshError(
                f"ONNX Runtime {onnxruntime.__version__} cannot load {path} ({reason}): the file "
                f"is damaged or needs a newer onnxruntime."
            ) from error
        check_interface(
            path,
            self.sidecar,
            {tensor.name: tuple(tensor.shape) for tensor in self._session.get_inputs()},
            {tensor.name: tuple(tensor.shape) for tensor in self._session.get_outputs()},
        )
        self._input_names = list(input_shapes(self.sidecar))
        self._output_names = list(output_shapes(self.sidecar))
        device = _PROVIDERS[self._session.get_providers()[0]]
        self.on_gpu = device == "CUDA"
        count = f", {threads} thread{'s' * (threads > 1)}" if threads else ""
        self.name = f"ONNX Runtime {onnxruntime.__version__} on {device}{count}"

    def infer(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run the graph once; see `Backend`."""
        given = dict(zip(self._input_names, inputs, strict=True))
        outputs = self._session.run(self._output_names, given)
        return dict(zip(self._output_names, outputs, strict=True))

    def close(self) -> None:
        """Free the session."""
        del self._session


def _is_text(path: Path) -> bool:
    """Return whether a path is UTF-8: other names are known to Python alone."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _providers(cuda: bool) -> list[str]:
    available = onnxruntime.get_available_providers()
    return [name for name in _PROVIDERS if name in available and (cuda or "CUDA" not in name)]


def _session_options(threads: int | None) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.inter_op_num_threads = 1
    if threads is not None:
        options.intra_op_num_threads = threads
    # Threads that spin between two frames take the cores from the camera and the subscribers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Int8 instructions of x86 before VNNI saturate; this way they do not.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return options

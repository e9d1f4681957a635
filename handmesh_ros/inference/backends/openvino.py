"""OpenVINO on the CPU: faster than ONNX Runtime on some, and bfloat16 where CPUs have it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.base import (
    check_interface,
    input_shapes,
    output_shapes,
    read_graph,
)

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoBackend:
    """Runs an exported graph with OpenVINO on the CPU.

    Outputs are views of OpenVINO's own memory and change with the next call.

    Args:
        path: NAME.onnx; its sidecar NAME.json lies beside it.
        threads: CPU threads inside one run; None lets OpenVINO take one per physical core.
        precision: "float32", or "bfloat16" for CPUs that calculate in it. It is always said to
            OpenVINO, which by itself takes bfloat16 where it can. Int8 needs no setting: a graph
            of `handmesh quantize` brings it.

    Raises:
        HandmeshError: the file is damaged or not the one that its sidecar describes, or the CPU
            does not have the precision.
    """

    def __init__(
        self, path: str | Path, *, threads: int | None = None, precision: str = "float32"
    ) -> None:
        path = Path(path)
        version = openvino.__version__.partition("-")[0]
        core = openvino.Core()
        if precision != "float32":
            abilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            if PRECISIONS[precision].upper() not in abilities:
                raise HandmeshError(
                    f"This CPU does not calculate in {precision} (OpenVINO finds "
                    f"{', '.join(abilities)}): choose the backend openvino, which uses float32."
                )
        self.sidecar, graph = read_graph(path)
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            # Pinned threads of two nodes would share the same cores and leave others idle.
            "ENABLE_CPU_PINNING": False,
        }
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            model = core.read_model(graph)
            compiled = core.compile_model(model, "CPU", settings)
        except Exception as error:  # OpenVINO raises RuntimeError, but promises nothing.
            reason = " ".join(str(error).split())[:200].rstrip(".")
            raise HandmeshError(
                f"OpenVINO {version} cannot load {path} ({reason}): the file is damaged, or the "
                f"backend onnxruntime is needed."
            ) from error
        check_interface(path, self.sidecar, _shapes(compiled.inputs), _shapes(compiled.outputs))
        self._request = compiled.create_infer_request()
        self._input_names = list(input_shapes(self.sidecar))
        self._output_names = list(output_shapes(self.sidecar))
        used = compiled.get_property("INFERENCE_NUM_THREADS")
        kind = "" if precision == "float32" else f" in {precision}"
        self.name = f"OpenVINO {version} on CPU{kind}, {used} thread{'s' * (used > 1)}"

    def infer(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run the graph once; see `Backend`."""
        given = dict(zip(self._input_names, inputs, strict=True))
        self._request.infer(given, share_inputs=True)
        return {name: self._request.get_tensor(name).data for name in self._output_names}

    def close(self) -> None:
        """Free the graph."""
        del self._request


def _shapes(ports: list[openvino.ConstOutput]) -> dict[str, tuple[int | str | None, ...]]:
    """Shapes by name; a constant that goes straight out has several names."""
    return {
        name: tuple(
            length.get_length() if length.is_static else None for length in port.partial_shape
        )
        for port in ports
        for name in port.names
    }

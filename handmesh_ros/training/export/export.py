"""`handmesh export`: a training checkpoint becomes one ONNX graph and its sidecar, or weights."""

from __future__ import annotations

import hashlib
import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import torch

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.backends.base import input_shapes, output_shapes
from handmesh_ros.inference.backends.onnxruntime import OnnxRuntimeBackend
from handmesh_ros.inference.backends.parity import (
    FLOAT32_LIMIT,
    REDUCED_LIMIT,
    Drift,
    drift,
    fixed_inputs,
)
from handmesh_ros.inference.sidecar import HandModelReference, Sidecar
from handmesh_ros.network.checkpoint import interface_of
from handmesh_ros.network.contract import CROPS, IMAGE
from handmesh_ros.network.model import HandNetwork
from handmesh_ros.network.precision import with_float16
from handmesh_ros.network.refinement import RefinementNetwork
from handmesh_ros.training.export.compact import compact
from handmesh_ros.training.export.opset import to_opset_17
from handmesh_ros.training.export.settings import OPSETS

LARGEST_BATCH = 64
"""Crops that one run of a refinement graph may take where nothing else bounds it."""


class _Graph(torch.nn.Module):
    """The network with its outputs as a tuple, in the contract's order."""

    def __init__(self, network: torch.nn.Module, output_names: list[str]):
        super().__init__()
        self.network, self.output_names = network, output_names

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = self.network(*inputs)
        return tuple(outputs[name] for name in self.output_names)


def export(
    network: HandNetwork | RefinementNetwork,
    output: str | Path,
    *,
    model_id: str,
    score_threshold: float = 0.3,
    training_data: tuple[str, ...] = (),
    metrics: dict[str, Any] | None = None,
    licence: str = "Apache-2.0",
    provenance: str = "",
    precision: str = "float32",
    opset: int = OPSETS[-1],
) -> Path:
    """Write NAME.onnx and NAME.json and check that ONNX Runtime agrees with PyTorch.

    Args:
        network: in evaluation mode.
        output: path of the .onnx file; its folder is made.
        model_id: name and version, goes into every message.
        score_threshold: for the sidecar.
        training_data: names of the data sets, for the sidecar.
        metrics: measured figures, for the sidecar.
        licence: of the weights.
        provenance: how the weights were made.
        precision: "float32", or "float16" for the convolutions and the per-hand blocks
            (`precision.with_float16`); inputs and outputs are the same.
        opset: operator set of the graph, one of `OPSETS`; 17 for TensorRT 8.5 and 8.6.

    Returns:
        the path of the .onnx file.

    Raises:
        HandmeshError: the network cannot be written in that operator set, or ONNX Runtime's hands
            differ from PyTorch's float32 ones by more than `parity.FLOAT32_LIMIT` or, for
            float16, `parity.REDUCED_LIMIT`.
    """
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    takes, input_size, max_hands = interface_of(network)
    template = HandTemplate.bundled()
    sidecar = Sidecar(
        model_id=model_id,
        input_size=input_size,
        max_hands=max_hands,
        takes=takes,
        hand_model=HandModelReference(template.name, template.sha256, len(template.template)),
        score_threshold=score_threshold,
        precision=precision,
        training_data=training_data,
        metrics=metrics or {},
        licence=licence,
        provenance=provenance,
    )
    output_names = list(output_shapes(sidecar))
    exported: torch.nn.Module = network
    if precision == "float16":
        if isinstance(network, RefinementNetwork):
            raise HandmeshError(
                "A refinement network is exported in float32 only: leave --precision out."
            )
        exported = with_float16(network)
    graph = _Graph(exported, output_names).eval()
    example = _example_inputs(sidecar)
    batch = {0: torch.export.Dim("hands", min=1, max=LARGEST_BATCH)} if takes == CROPS else None
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph,
            example,
            input_names=list(input_shapes(sidecar)),
            dynamic_shapes=None if batch is None else ((batch,) * len(example),),
            output_names=output_names,
            opset_version=OPSETS[-1],
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    graph.eval()  # the exporter can leave the module in training mode
    model = program.model_proto
    if opset == 17:
        model = to_opset_17(model)
    model = compact(model)
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    output.write_bytes(content)
    sidecar = replace(sidecar, onnx_sha256=hashlib.sha256(content).hexdigest())
    sidecar.write(output.with_suffix(".json"))
    found = graph_drift(network, output)
    if not found.within(REDUCED_LIMIT if precision == "float16" else FLOAT32_LIMIT):
        raise HandmeshError(
            f"The exported graph {output} differs from the network ({found}): please report this "
            "with your versions of torch and onnxruntime."
        )
    return output


def _example_inputs(sidecar: Sidecar) -> tuple[torch.Tensor, ...]:
    height, width = sidecar.input_size
    camera = torch.tensor([[float(width), float(width), width / 2, height / 2]])
    if sidecar.takes == IMAGE:
        return torch.zeros(1, height, width, 3, dtype=torch.uint8), camera
    to_image = torch.eye(3)[None, :2].repeat(2, 1, 1)
    return torch.zeros(2, height, width, 3, dtype=torch.uint8), to_image, camera.repeat(2, 1)


def graph_drift(
    network: HandNetwork | RefinementNetwork, path: str | Path, images: int = 6
) -> Drift:
    """Return how far ONNX Runtime's hands are from PyTorch's on fixed images.

    Args:
        network: in evaluation mode.
        path: of the .onnx file.
        images: how many.
    """
    backend = OnnxRuntimeBackend(path)
    pairs = []
    for inputs in fixed_inputs(backend.sidecar, images):
        with torch.inference_mode():
            expected = network(*(torch.from_numpy(values) for values in inputs))
        pairs.append((backend.infer(*inputs), {name: v.numpy() for name, v in expected.items()}))
    backend.close()
    return drift(pairs, backend.sidecar.score_threshold)

"""Take the weights of trunk and heads out of MediaPipe's hand landmark network.

    pip install tflite mediapipe==0.10.21   (in an environment of its own: it needs NumPy < 2)
    python scripts/convert_hand_landmark.py \
        .../site-packages/mediapipe/modules/hand_landmark/hand_landmark_full.tflite \
        weights/hand_trunk.npz

The graph is read, not run: convolutions in order of execution, weights to (out, in, h, w), batch
norms already folded into them. The result (float16) is committed; nobody needs to run this again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import tflite

from handmesh_ros.network.backbone import LANDMARK_HEADS

TRUNK_CONVOLUTIONS = 47
"""The stem's 3, 14 blocks of 3, and 2 on top; fully connected heads follow."""

Layers = list[tuple[np.ndarray, np.ndarray]]
"""Weight and bias of each."""


def layers(path: Path) -> tuple[Layers, Layers]:
    """Return the convolutions, (out, in, h, w), and the linear layers, (out, in), in order."""
    model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    operators = [graph.Operators(index) for index in range(graph.OperatorsLength())]

    def kind(operator: tflite.Operator) -> int:
        code = model.OperatorCodes(operator.OpcodeIndex())
        return max(code.BuiltinCode(), code.DeprecatedBuiltinCode())

    kinds = tflite.BuiltinOperator
    stored = {
        operator.Outputs(0): operator.Inputs(0)
        for operator in operators
        if kind(operator) == kinds.DEQUANTIZE
    }

    def constant(index: int) -> np.ndarray:
        tensor = graph.Tensors(stored.get(index, index))
        types = {tflite.TensorType.FLOAT32: np.float32, tflite.TensorType.FLOAT16: np.float16}
        content = model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
        return np.frombuffer(content, types[tensor.Type()]).reshape(tensor.ShapeAsNumpy())

    axes = {kinds.CONV_2D: (0, 3, 1, 2), kinds.DEPTHWISE_CONV_2D: (3, 0, 1, 2)}
    convolutions = [
        (constant(op.Inputs(1)).transpose(axes[kind(op)]), constant(op.Inputs(2)))
        for op in operators
        if kind(op) in axes
    ]
    linear = [
        (constant(op.Inputs(1)), constant(op.Inputs(2)))
        for op in operators
        if kind(op) == kinds.FULLY_CONNECTED
    ]
    return convolutions, linear


def main() -> None:
    """Convert one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tflite", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    arrays: dict[str, Any] = {}
    convolutions, linear = layers(args.tflite)
    for index, (weight, bias) in enumerate(convolutions[:TRUNK_CONVOLUTIONS]):
        arrays[f"weight{index}"] = weight.astype(np.float16)
        arrays[f"bias{index}"] = bias.astype(np.float16)
    for name, (weight, bias) in zip(LANDMARK_HEADS, linear, strict=True):
        arrays[f"{name}_weight"] = weight.astype(np.float16)
        arrays[f"{name}_bias"] = bias.astype(np.float16)
    np.savez_compressed(args.output, **arrays)


if __name__ == "__main__":
    main()

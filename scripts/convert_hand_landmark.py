"""Take the trunk's starting weights out of MediaPipe's hand landmark network.

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

TRUNK_CONVOLUTIONS = 47
"""The stem's 3, 14 blocks of 3, and 2 on top; fully connected heads follow."""


def convolutions(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return weight (out, in, h, w) and bias (out,) of every convolution, in order."""
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
    return [
        (constant(op.Inputs(1)).transpose(axes[kind(op)]), constant(op.Inputs(2)))
        for op in operators
        if kind(op) in axes
    ]


def main() -> None:
    """Convert one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tflite", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    arrays: dict[str, Any] = {}
    for index, (weight, bias) in enumerate(convolutions(args.tflite)[:TRUNK_CONVOLUTIONS]):
        arrays[f"weight{index}"] = weight.astype(np.float16)
        arrays[f"bias{index}"] = bias.astype(np.float16)
    np.savez_compressed(args.output, **arrays)


if __name__ == "__main__":
    main()

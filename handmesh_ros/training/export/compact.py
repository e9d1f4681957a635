"""Smaller files: weights that float16 holds exactly are stored so and cast where they are used."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LEAST_SIZE = 2**18
"""Numbers in a weight that is worth a node more."""


def compact(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store the large weights of linear layers in float16 where nothing is lost by that.

    Checkpoints that `save_weights` wrote hold float16, so that their graphs need only half the
    room. Backends fold the casts when they load the graph: results and speed stay the same.

    Args:
        model: changed in place.

    Returns:
        the model.
    """
    graph = model.graph
    used = {
        name for node in graph.node if node.op_type in ("Gemm", "MatMul") for name in node.input
    }
    casts = []
    for weight in graph.initializer:
        if weight.name not in used or weight.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(weight)
        halves = values.astype(np.float16)
        if values.size < LEAST_SIZE or not np.array_equal(halves.astype(np.float32), values):
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(halves, f"{name}.float16"))
        casts.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model

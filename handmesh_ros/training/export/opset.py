"""An exported graph in the older operator set 17, which TensorRT 8.5 and 8.6 read."""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from handmesh_ros.errors import HandmeshError

_MEANINGLESS: dict[str, dict[str, object]] = {
    "Resize": {"antialias": 0, "keep_aspect_ratio_policy": b"stretch"},
    "Split": {"num_outputs": None},
}
"""Attributes that 18 added: the value that says what 17 does anyway; None where every one does."""


def to_opset_17(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph of operator set 18 in operator set 17, with the same meaning.

    Between the two, reductions turned the attribute `axes` into an input, and a few operators got
    attributes. Anything else that changed is refused.

    Args:
        model: operator set 18; unchanged.

    Raises:
        HandmeshError: an operator of the graph has no counterpart.
    """
    converted = onnx.ModelProto()
    converted.CopyFrom(model)
    constants = {tensor.name: tensor for tensor in converted.graph.initializer}
    for node in converted.graph.node:
        if node.domain or onnx.defs.get_schema(node.op_type, 18).since_version <= 17:
            continue
        if node.op_type.startswith("Reduce"):
            _axes_to_attribute(node, constants)
        elif node.op_type in _MEANINGLESS:
            _drop_attributes(node, _MEANINGLESS[node.op_type])
        else:
            raise _no_counterpart(node)
    for entry in converted.opset_import:
        if not entry.domain:
            entry.version = 17
    used = {name for node in converted.graph.node for name in node.input}
    kept = [tensor for tensor in converted.graph.initializer if tensor.name in used]
    del converted.graph.initializer[:]
    converted.graph.initializer.extend(kept)
    onnx.checker.check_model(converted, full_check=True)
    return converted


def _axes_to_attribute(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> None:
    if len(node.input) < 2 or not node.input[1]:
        return
    if node.input[1] not in constants:
        raise _no_counterpart(node)
    axes = numpy_helper.to_array(constants[node.input[1]]).tolist()
    del node.input[1:]
    kept = [a for a in node.attribute if a.name != "noop_with_empty_axes"]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute("axes", axes)])


def _drop_attributes(node: onnx.NodeProto, meaningless: dict[str, object]) -> None:
    for attribute in [a for a in node.attribute if a.name in meaningless]:
        wanted = meaningless[attribute.name]
        if wanted is not None and onnx.helper.get_attribute_value(attribute) != wanted:
            raise _no_counterpart(node)
        node.attribute.remove(attribute)


def _no_counterpart(node: onnx.NodeProto) -> HandmeshError:
    return HandmeshError(
        f"The operator {node.op_type} ({node.name}) of this network cannot be written in the "
        f"operator set 17: export with --opset 18, for TensorRT 10 and newer."
    )

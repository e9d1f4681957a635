from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.models import CAMERA_MODEL
from handmesh_ros.training.export.opset import to_opset_17


def graph(text, **constants):
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 18]>' + text)
    for name, values in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    return model


def run(model, values):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": values})


def test_reductions_and_resizes_mean_the_same():
    model = graph(
        """
        both (float[1,2,4,6] x) => (float[1,2,1,1] top, float[1,2,8,12] large) {
          top = ReduceMax <keepdims = 1, noop_with_empty_axes = 0> (x, axes)
          large = Resize <mode = "nearest", keep_aspect_ratio_policy = "stretch"> (x, , scales)
        }
        """,
        axes=np.array([2, 3]),
        scales=np.array([1, 1, 2, 2], np.float32),
    )
    converted = to_opset_17(model)
    assert converted.opset_import[0].version == 17 and model.opset_import[0].version == 18
    assert "axes" not in {tensor.name for tensor in converted.graph.initializer}
    values = np.random.default_rng(0).normal(size=(1, 2, 4, 6)).astype(np.float32)
    for found, expected in zip(run(converted, values), run(model, values), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_what_has_no_counterpart_is_refused():
    model = graph("smooth (float[2] x) => (float[2] y) { y = Mish (x) }")
    with pytest.raises(HandmeshError, match="operator Mish .* --opset 18"):
        to_opset_17(model)
    model = graph(
        """
        shrink (float[1,1,4,4] x) => (float[1,1,2,2] y) {
          y = Resize <mode = "linear", antialias = 1> (x, , scales)
        }
        """,
        scales=np.array([1, 1, 0.5, 0.5], np.float32),
    )
    with pytest.raises(HandmeshError, match="Resize"):
        to_opset_17(model)


def test_the_bundled_network_has_a_counterpart():
    model = onnx.load(Path(CAMERA_MODEL))
    if model.opset_import[0].version == 18:
        assert to_opset_17(model).opset_import[0].version == 17

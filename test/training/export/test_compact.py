import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from handmesh_ros.training.export.compact import LEAST_SIZE, compact

SIDE = 512
assert SIDE * SIDE == LEAST_SIZE


def linear(weight):
    """A graph of one linear layer."""
    node = helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)
    graph = helper.make_graph(
        [node],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, len(weight)])],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = helper.make_opsetid("", 18)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)


def run(model):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": np.linspace(-1, 1, SIDE, dtype=np.float32)[None]})[0]


@pytest.fixture
def weight():
    values = np.random.default_rng(0).normal(size=(SIDE, SIDE))
    return values.astype(np.float16).astype(np.float32)


def test_weights_from_float16_take_half_the_room_and_give_the_same(weight):
    before, after = linear(weight), compact(linear(weight))
    onnx.checker.check_model(after)
    assert after.ByteSize() < 0.51 * before.ByteSize()
    np.testing.assert_array_equal(run(after), run(before))


def test_weights_that_would_lose_and_small_ones_stay(weight):
    for kept in (weight * np.float32(1.0001), weight[:100]):
        assert compact(linear(kept)).SerializeToString() == linear(kept).SerializeToString()

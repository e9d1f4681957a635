from __future__ import annotations

import hashlib

import cv2
import numpy as np
import onnx
import pytest
import tiny_graph
from onnx import numpy_helper
from test_shards import make_sample, write

from handmesh_ros.cli import main as cli
from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.selection import open_backend
from handmesh_ros.inference.sidecar import Sidecar
from handmesh_ros.training.export.quantize import calibration_feeds, quantize
from handmesh_ros.training.export.quantize_sensitivity import shift

TRUNK = """
<ir_version: 8, opset_import: ["" : 17]>
trunk (uint8[1,96,128,3] image) => (float[1,1,1] bend) {
  numbers = Cast <to = 1> (image)
  tall = Transpose <perm = [0, 3, 1, 2]> (numbers)
  unit = Mul (tall, small)
  wide = Conv <kernel_shape = [3, 3], strides = [8, 8]> (unit, first, first_bias)
  cut = Clip (wide, zero, six)
  deep = Conv <kernel_shape = [1, 1]> (cut, second)
  half = Mul (cut, small)
  again = Conv <kernel_shape = [1, 1]> (half, second)
  both = Add (deep, again)
  mean = ReduceMean <axes = [0, 2, 3], keepdims = 0> (both)
  bend = Reshape (mean, bend_shape)
}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The tiny graph with a small trunk whose mean moves the hands."""
    path = tiny_graph.write_tiny_model(tmp_path_factory.mktemp("float32"))
    graph = onnx.load(path).graph
    trunk = onnx.parser.parse_model(TRUNK).graph
    rng = np.random.default_rng(0)
    first = rng.normal(size=(8, 3, 3, 3)).astype(np.float32)
    constants = {
        "small": np.float32(1 / 255),
        "first": first * np.logspace(-2, 2, 8, dtype=np.float32)[:, None, None, None],
        "first_bias": np.ones(8, np.float32),
        "zero": np.float32(0),
        "six": np.float32(6),
        "second": rng.normal(size=(1, 8, 1, 1)).astype(np.float32) / 1000,
        "bend_shape": np.array([1, 1, 1], np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in constants.items())
    (joints,) = (node for node in graph.node if node.output[0] == "joints")
    joints.CopyFrom(onnx.helper.make_node("Add", ["joint_points", "bend"], ["joints"]))
    nodes = [*trunk.node, *graph.node]
    for index, node in enumerate(nodes):
        node.name = f"node_{index}"
    opset = onnx.helper.make_opsetid("", 17)
    del graph.node[:]
    graph.node.extend(nodes)
    whole = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.checker.check_model(whole)
    path.write_bytes(whole.SerializeToString())
    sidecar = Sidecar.read(path.with_suffix(".json"))
    content = {**sidecar.__dict__, "onnx_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    Sidecar(**content).write(path.with_suffix(".json"))
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(1)
    for index in range(3):
        image = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), image)
    return folder


def test_convolutions_are_int8_as_tensorrt_wants_them(model, photos, tmp_path, capsys):
    output = tmp_path / "small.onnx"
    command = ["quantize", str(model), str(output), "--calibration", str(photos)]
    assert cli.main(command) == 0
    assert "of the hands found again" in capsys.readouterr().out
    graph = onnx.load(output).graph
    constants = {value.name: value for value in graph.initializer}
    pairs = [node for node in graph.node if node.op_type.endswith("eLinear")]
    assert pairs
    for node in pairs:
        zero_point = constants[node.input[2]]
        assert zero_point.data_type == onnx.TensorProto.INT8
        assert not numpy_helper.to_array(zero_point).any()
    producers = {name: node for node in graph.node for name in node.output}
    for node in (node for node in graph.node if node.op_type == "Conv"):
        assert all(producers[name].op_type == "DequantizeLinear" for name in node.input[:2])
        weights = constants[producers[node.input[1]].input[0]]
        assert weights.data_type == onnx.TensorProto.INT8
        assert len(numpy_helper.to_array(constants[producers[node.input[1]].input[1]])) in (1, 8)
    assert constants["first_bias"].data_type == onnx.TensorProto.FLOAT
    sidecar = Sidecar.read(output.with_suffix(".json"))
    assert sidecar.precision == "int8" and sidecar.model_id == "tiny-test-int8"
    assert sidecar.provenance["quantized"]["calibration"] == f"3 images of {photos.name}"
    backend = open_backend(output, "onnxruntime")
    assert backend.sidecar == sidecar


def test_the_range_before_a_clip_is_the_clips(model, photos, tmp_path):
    feeds = calibration_feeds(photos, Sidecar.read(model.with_suffix(".json")), 3)
    found = quantize(model, tmp_path / "small.onnx", feeds)
    assert found.found_again == 1 and found.joints_mm < 1
    graph = onnx.load(tmp_path / "small.onnx").graph
    constants = {value.name: value for value in graph.initializer}
    (scale,) = (
        numpy_helper.to_array(constants[node.input[1]])
        for node in graph.node
        if node.op_type == "QuantizeLinear" and node.input[0].startswith("wide")
    )
    assert float(scale) == pytest.approx(6 / 127, rel=1e-3)


def test_sensitive_convolutions_stay_float32(model, photos, tmp_path):
    feeds = calibration_feeds(photos, Sidecar.read(model.with_suffix(".json")), 2)
    found = quantize(model, tmp_path / "small.onnx", feeds, sensitive=-1.0)
    assert found.keypoints == 0 and found.joints_mm == 0
    graph = onnx.load(tmp_path / "small.onnx").graph
    assert not [node for node in graph.node if node.op_type == "QuantizeLinear"]


def test_calibration_reads_shards(model, tmp_path):
    write(tmp_path, [make_sample("a"), make_sample("b"), make_sample("c")])
    feeds = calibration_feeds(tmp_path, Sidecar.read(model.with_suffix(".json")), 2)
    assert len(feeds) == 2
    assert feeds[0]["image"].shape == (1, 96, 128, 3) and feeds[0]["intrinsics"].shape == (1, 4)


def test_what_has_no_float32_convolutions_is_refused(tiny_model, photos, tmp_path):
    feeds = calibration_feeds(photos, Sidecar.read(tiny_model.with_suffix(".json")), 1)
    with pytest.raises(HandmeshError, match="no float32 convolutions"):
        quantize(tiny_model, tmp_path / "small.onnx", feeds)


def test_without_images_it_is_refused(model, tmp_path):
    with pytest.raises(HandmeshError, match="no calibration images"):
        quantize(model, tmp_path / "small.onnx", [])


def test_shift_counts_hands_that_are_not_found_again():
    points = np.linspace(0, 100, 21, dtype=np.float32)
    hand = {
        "score": np.float32([0.9, 0.1]),
        "centre": np.float32([[50, 50], [300, 300]]),
        "joints_2d": np.stack([np.stack([points, points], 1)] * 2),
        "joints": np.zeros((2, 21, 3), np.float32),
        "translation": np.zeros((2, 3), np.float32),
    }
    assert shift([hand], [hand], 0.5).keypoints == 0
    moved = {**hand, "joints_2d": hand["joints_2d"] + np.float32([10, 0])}
    assert shift([moved], [hand], 0.5).keypoints == pytest.approx(0.1)
    bent = {**hand, "joints": hand["joints"] + np.float32([0.002, 0, 0])}
    assert shift([bent], [hand], 0.5).joints_mm == pytest.approx(2, rel=1e-3)
    gone = {**hand, "centre": hand["centre"] + np.float32(200)}
    found = shift([gone], [hand], 0.5)
    assert found.found_again == 0 and found.keypoints == 1

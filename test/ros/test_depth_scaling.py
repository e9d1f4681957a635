"""Depth images of the node: what they scale, and what the calibration learns of it."""

import array
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")

from sensor_msgs.msg import Image
from std_msgs.msg import Header

from handmesh_ros.depth.length import MIN_SAMPLES
from handmesh_ros.depth.units import PATIENCE
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import RIGHT
from handmesh_ros.hand.hands import ScaleSource
from handmesh_ros.hand.size import hand_length
from handmesh_ros.ros.depth import DepthScaling
from handmesh_ros.ros.detection import Detection
from handmesh_ros.ros.parameters.schema import Parameters

pytestmark = pytest.mark.ros

INTRINSICS = np.array([200.0, 200.0, 63.5, 47.5])


@pytest.fixture
def detection(two_hands, template) -> Detection:
    """A right hand, flat before the camera at 0.6 m."""
    vertices = template.template[:, [0, 2, 1]] + [0.08, 0.0, 0.6]
    hands = two_hands[0].replace(
        vertices=vertices[None].astype(np.float32), scale_source=np.zeros(1, np.uint8)
    )
    hands = hands.replace(joints=hands.joints * (0.19 / hand_length(hands.joints)))
    return Detection(
        header=Header(frame_id="camera"),
        rgb=np.zeros((96, 128, 3), np.uint8),
        intrinsics=INTRINSICS,
        calibrated=True,
        hands=hands,
        preprocess_ms=0.0,
        inference_ms=0.0,
        decode_ms=0.0,
    )


def depth_image(metres):
    values = np.full((96, 128), metres, np.float32)
    return Image(
        header=Header(frame_id="camera"),
        height=96,
        width=128,
        encoding="32FC1",
        step=4 * 128,
        data=array.array("B", values.tobytes()),
    )


def test_what_depth_measures_can_be_calibrated_with(detection):
    said = []
    scaling, parameters = DepthScaling(said.append), Parameters(use_depth=True)
    scaling.receive(depth_image(0.54))
    for _ in range(MIN_SAMPLES):
        hands = scaling.scale(detection, parameters)
    assert not said and hands.scale_source.tolist() == [ScaleSource.DEPTH]
    measured = scaling.meter.measure(RIGHT, time.monotonic())
    assert measured.count == MIN_SAMPLES
    assert measured.length_m == pytest.approx(0.19 * 0.9, rel=0.03)


def test_depth_goes_the_way_of_the_colours(detection):
    said = []
    scaling = DepthScaling(said.append)
    scaling.receive(depth_image(0.54))
    nearer = replace(detection, align=lambda depth: np.float32(0.9) * depth)
    wrists = [
        scaling.scale(each, Parameters(use_depth=True)).joints[0, 0]
        for each in (detection, nearer)
    ]
    np.testing.assert_allclose(wrists[1], 0.9 * wrists[0], rtol=1e-3)
    assert not said


def test_hands_in_an_assumed_size_are_no_measurement(detection):
    said = []
    scaling = DepthScaling(said.append)
    for _ in range(MIN_SAMPLES):
        hands = scaling.scale(detection, Parameters(use_depth=True))
    assert "No depth image" in said[0] and hands.scale_source.tolist() == [ScaleSource.ASSUMED]
    with pytest.raises(HandmeshError, match="in 0 images"):
        scaling.meter.measure(RIGHT, time.monotonic())


def depth_message(encoding, values):
    return Image(
        header=Header(frame_id="camera"),
        height=96,
        width=128,
        encoding=encoding,
        step=128 * values.itemsize,
        data=array.array("B", np.ascontiguousarray(values).tobytes()),
    )


TRUE_M = np.full((96, 128), 0.57, np.float32)
UNITS = [
    ("32FC1", 0.001), ("32FC1", 0.01), ("32FC1", 0.3048), ("32FC1", 0.0254),
    ("16UC1", 0.0001), ("16UC1", 0.000125), ("16UC1", 0.00025), ("16UC1", 0.0005), ("16UC1", 0.01),
]  # fmt: skip


@pytest.mark.parametrize(("encoding", "unit_m"), UNITS)
def test_depth_in_another_unit_is_named_with_the_unit_that_helps(detection, encoding, unit_m):
    said = []
    scaling = DepthScaling(said.append)
    kind = np.float32 if encoding == "32FC1" else np.uint16
    scaling.receive(depth_message(encoding, (TRUE_M / unit_m).astype(kind)))
    for _ in range(PATIENCE):
        hands = scaling.scale(detection, Parameters(use_depth=True))
    assert len(said) == 1 and f"set depth_unit_m to {unit_m:g}." in said[0]
    assert hands.scale_source.tolist() == [ScaleSource.ASSUMED]
    for _ in range(PATIENCE):
        hands = scaling.scale(detection, Parameters(use_depth=True, depth_unit_m=unit_m))
    assert len(said) == 1 and hands.scale_source.tolist() == [ScaleSource.DEPTH]
    assert hand_length(hands.joints)[0] == pytest.approx(0.19 * 0.95, rel=0.05)


@pytest.mark.parametrize(
    ("encoding", "values"),
    [
        ("32FC1", 60.0 * 0.05 / TRUE_M * 10.0),  # disparity, pixels
        ("16UC1", np.full((96, 128), 65534, np.uint16)),
        ("16UC1", np.full((96, 128), 65535, np.uint16)),
        ("16UC1", np.ones((96, 128), np.uint16)),
        ("32FC1", np.full((96, 128), 3e38, np.float32)),
    ],
)
def test_depth_that_is_none_is_never_used_and_named(detection, encoding, values):
    said = []
    scaling = DepthScaling(said.append)
    scaling.receive(depth_message(encoding, values))
    for _ in range(PATIENCE):
        hands = scaling.scale(detection, Parameters(use_depth=True))
    assert said and hands.scale_source.tolist() == [ScaleSource.ASSUMED]
    assert np.isfinite(hands.joints).all()


def test_a_hand_twice_too_large_is_believed_but_named(detection):
    """Of 0.14 m it could be a large hand of 0.26 m; or depth is in half millimetres."""
    small = detection.hands.replace(joints=detection.hands.joints * np.float32(0.14 / 0.19))
    said = []
    scaling = DepthScaling(said.append)
    scaling.receive(depth_message("16UC1", (TRUE_M * 2000).astype(np.uint16)))
    for _ in range(PATIENCE):
        hands = scaling.scale(replace(detection, hands=small), Parameters(use_depth=True))
    assert hands.scale_source.tolist() == [ScaleSource.DEPTH]
    assert "probably 0.0005 m" in said[0]


def test_a_wall_behind_for_a_moment_is_no_unit(detection):
    said = []
    scaling = DepthScaling(said.append)
    for number in range(4 * PATIENCE):
        scaling.receive(depth_image(2.4 if number % PATIENCE else 0.57))
        scaling.scale(detection, Parameters(use_depth=True))
    assert not said

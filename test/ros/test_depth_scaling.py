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
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import RIGHT
from handmesh_ros.hand.hands import ScaleSource
from handmesh_ros.hand.size import hand_length
from handmesh_ros.ros.depth import DepthScaling
from handmesh_ros.ros.detection import Detection
from handmesh_ros.ros.parameters import Parameters

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
        hands = scaling(detection, parameters)
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
        scaling(each, Parameters(use_depth=True)).joints[0, 0] for each in (detection, nearer)
    ]
    np.testing.assert_allclose(wrists[1], 0.9 * wrists[0], rtol=1e-3)
    assert not said


def test_hands_in_an_assumed_size_are_no_measurement(detection):
    said = []
    scaling = DepthScaling(said.append)
    for _ in range(MIN_SAMPLES):
        hands = scaling(detection, Parameters(use_depth=True))
    assert "No depth image" in said[0] and hands.scale_source.tolist() == [ScaleSource.ASSUMED]
    with pytest.raises(HandmeshError, match="in 0 images"):
        scaling.meter.measure(RIGHT, time.monotonic())

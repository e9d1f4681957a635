"""The bytes that are published are those that ROS itself would make of the message."""

from dataclasses import replace

import numpy as np
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")
pytest.importorskip("rosbags", reason="needs rosbags: run `make test`")

from rclpy.serialization import deserialize_message
from std_msgs.msg import Header

from handmesh_ros.msg import HandMesh, HandMeshArray, LatencyBreakdown
from handmesh_ros.ros.bag.bags import message_types
from handmesh_ros.ros.conversions import hand_array as module
from handmesh_ros.ros.conversions.hand_array import check_hand_layout, hand_layout
from handmesh_ros.ros.conversions.messages import hand_array
from handmesh_ros.tracking.tracker import TrackedHands

pytestmark = pytest.mark.ros

NAME = "handmesh_ros/msg/HandMeshArray"
LATENCY = LatencyBreakdown(
    preprocess_ms=1.0, inference_ms=2.0, decode_ms=3.0, publish_ms=4.0, age_ms=5.0
)


def written(hands: Hands, frame_id: str, **options) -> bytes:
    header = Header(frame_id=frame_id)
    header.stamp.sec, header.stamp.nanosec = 12, 34
    tracked = replace(
        TrackedHands.untracked(hands), track_id=np.arange(1, 1 + len(hands), dtype=np.uint32)
    )
    array = hand_array(
        tracked,
        header,
        image_size=(48, 64),
        intrinsics=np.array([600.0, 610.0, 320.0, 240.0]),
        calibrated=True,
        model_id="model-1",
        **options,
    )
    return array.to_bytes(LATENCY)


@pytest.mark.parametrize("frame_id", ["", "cam", "camera", "camera_optical"])
@pytest.mark.parametrize("publish_mesh", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_bytes_are_those_of_the_message(two_hands, frame_id, publish_mesh, count):
    sent = written(two_hands[:count], frame_id, publish_mesh=publish_mesh)
    types = message_types()
    assert bytes(types.serialize_cdr(types.deserialize_cdr(sent, NAME), NAME)) == sent
    message = deserialize_message(sent, HandMeshArray)
    assert message.header.frame_id == frame_id
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (12, 34)
    assert [hand.track_id for hand in message.hands] == list(range(1, 1 + count))
    assert message.latency == LATENCY
    assert (message.calibrated, message.model_id) == (True, "model-1")


def test_rows_have_the_fields_of_the_message_in_its_order():
    of_message = [*HandMesh.get_fields_and_field_types()]
    inside = {"do_rectify": "box", "position": "wrist", "orientation": "wrist"}
    inside |= {"covariance": "wrist", "vertex_numbers": "vertices"}
    inside |= {"color_numbers": "vertex_colors"}
    of_rows = [inside.get(name, name) for name in hand_layout(778).names]
    assert list(dict.fromkeys(of_rows)) == of_message


def test_messages_of_another_version_are_one_sentence(monkeypatch):
    check_hand_layout()
    monkeypatch.setattr(module, "HandMeshArray", LatencyBreakdown)
    with pytest.raises(HandmeshError, match="another version .* run `colcon build` again"):
        check_hand_layout()

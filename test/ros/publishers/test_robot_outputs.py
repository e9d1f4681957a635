"""Point cloud and frames; tf2_msgs, which is not on the package index, is stood in for.

Where tf2 is (on a ROS 2 machine), it reads the frames, and the detector's go over real DDS.
"""

import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")

from rclpy.serialization import deserialize_message, serialize_message
from rclpy.time import Time
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import FINGERTIP_KEYPOINTS, LEFT, RIGHT, operator_frame
from handmesh_ros.hand.hands import State
from handmesh_ros.hand.rotations import matrices
from handmesh_ros.msg import HandMeshArray
from handmesh_ros.ros.parameters.schema import Parameters
from handmesh_ros.ros.publishers.points import points_message
from handmesh_ros.ros.publishers.robot_outputs import RobotOutputs
from handmesh_ros.ros.publishers.tf_frames import TfFrameNames, hand_transforms
from handmesh_ros.tracking.tracker import TrackedHands

pytestmark = pytest.mark.ros


def camera_header(frame_id="camera"):
    header = Header(frame_id=frame_id)
    header.stamp.sec = 12
    return header


def pose_of(stamped):
    moved, turn = stamped.transform.translation, stamped.transform.rotation
    return np.array([moved.x, moved.y, moved.z]), matrices([turn.x, turn.y, turn.z, turn.w])


def test_points_can_be_read_by_their_fields(two_hands):
    cloud = points_message(two_hands, np.array([7, 9]), camera_header())
    cloud = deserialize_message(serialize_message(cloud), PointCloud2)
    kinds = {PointField.FLOAT32: "f4", PointField.UINT32: "u4"}
    layout = np.dtype(
        {
            "names": [field.name for field in cloud.fields],
            "formats": [kinds[field.datatype] for field in cloud.fields],
            "offsets": [field.offset for field in cloud.fields],
            "itemsize": cloud.point_step,
        }
    )
    points = np.frombuffer(cloud.data, layout)
    assert len(points) == cloud.width * cloud.height == 2 * 778
    assert cloud.row_step == len(cloud.data) and cloud.is_dense
    xyz = np.stack([points[axis] for axis in "xyz"], -1).reshape(2, 778, 3)
    np.testing.assert_array_equal(xyz, two_hands.vertices)
    np.testing.assert_array_equal(points["track_id"].reshape(2, 778)[:, 0], [7, 9])
    packed = points["rgb"].view("u4").reshape(2, 778)
    rgb = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], -1)
    np.testing.assert_allclose(rgb / 255.0, two_hands.colors, atol=0.5 / 255 + 1e-6)


def test_frames_lead_from_the_camera_to_the_fingertips(two_hands):
    transforms = hand_transforms(two_hands, ["a", "b"], camera_header())
    assert len(transforms) == 12 and all(t.header.stamp.sec == 12 for t in transforms)
    by_child = {stamped.child_frame_id: stamped for stamped in transforms}
    frames = operator_frame(two_hands.joints, two_hands.handedness == RIGHT)
    for index, name in enumerate("ab"):
        assert by_child[name].header.frame_id == "camera"
        place, turn = pose_of(by_child[name])
        np.testing.assert_allclose(place, two_hands.joints[index, 0], atol=1e-6)
        np.testing.assert_allclose(turn, frames[index], atol=1e-6)
        for keypoint, tip in zip(
            FINGERTIP_KEYPOINTS, ("thumb", "index", "middle", "ring", "little"), strict=True
        ):
            stamped = by_child[f"{name}_{tip}_tip"]
            assert stamped.header.frame_id == name
            moved, turned = pose_of(stamped)
            joints = two_hands.joints[index]
            np.testing.assert_allclose(place + turn @ moved, joints[keypoint], atol=1e-5)
            bone = joints[keypoint] - joints[keypoint - 1]
            along = (turn @ turned)[:, 2]
            np.testing.assert_allclose(along, bone / np.linalg.norm(bone), atol=1e-5)
    assert hand_transforms(two_hands[:0], [], camera_header()) == []


def test_names_stay_with_their_hand_and_return():
    names = TfFrameNames()

    def assign(ids, sides):
        return names.assign(np.array(ids, np.uint32), np.array(sides, np.uint8))

    assert assign([4], [RIGHT]) == ["right_hand"]
    assert assign([9, 4, 5], [RIGHT, RIGHT, LEFT]) == ["right_hand_2", "right_hand", "left_hand"]
    assert assign([9], [RIGHT]) == ["right_hand_2"]
    assert assign([9, 11], [RIGHT, RIGHT]) == ["right_hand_2", "right_hand"]
    assert assign([9, 11], [LEFT, RIGHT]) == ["left_hand", "right_hand"]


def test_hands_that_are_not_tracked_are_named_in_order():
    names = TfFrameNames()
    for _ in range(2):
        assert names.assign(np.zeros(3, np.uint32), np.array([1, 1, 0])) == [
            "right_hand",
            "right_hand_2",
            "left_hand",
        ]


class Publisher:
    """Remembers what is published to it."""

    def __init__(self, topic):
        self.topic, self.messages, self.subscribers = topic, [], 1

    def publish(self, message):
        self.messages.append(message)

    def get_subscription_count(self):
        return self.subscribers


@pytest.fixture
def tf2_msgs(monkeypatch):
    module = ModuleType("tf2_msgs.msg")
    module.TFMessage = SimpleNamespace
    monkeypatch.setitem(sys.modules, "tf2_msgs", ModuleType("tf2_msgs"))
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", module)


def publish(outputs, tracked, parameters, frame_id="camera"):
    header, taken = camera_header(frame_id), camera_header(frame_id)
    header.stamp.sec = 0
    outputs.publish(header, taken, tracked, parameters)


def outputs_of(parameters, said=None):
    said = [] if said is None else said
    outputs = RobotOutputs(lambda kind, topic, depth: Publisher(topic), parameters, said.append)
    return outputs, {publisher.topic: publisher for publisher in outputs.publishers}


def test_lost_hands_are_neither_points_nor_frames(two_hands, tf2_msgs):
    parameters = Parameters(publish_tf=True, tf_prefix="cam1_")
    outputs, by_topic = outputs_of(parameters)
    tracked = TrackedHands.untracked(two_hands)
    tracked = replace(tracked, state=np.array([State.PREDICTED, State.LOST], np.uint8))
    publish(outputs, tracked, parameters)
    assert by_topic["points"].messages[0].width == 778
    children = [stamped.child_frame_id for stamped in by_topic["/tf"].messages[0].transforms]
    assert children[:2] == ["cam1_right_hand", "cam1_right_hand_thumb_tip"]
    assert len(children) == 6


def test_points_have_the_stamp_of_the_image_and_frames_one_that_can_be(two_hands, tf2_msgs):
    parameters = Parameters(publish_tf=True)
    outputs, by_topic = outputs_of(parameters)
    publish(outputs, TrackedHands.untracked(two_hands), parameters)
    assert by_topic["points"].messages[0].header.stamp.sec == 0
    assert {t.header.stamp.sec for t in by_topic["/tf"].messages[0].transforms} == {12}


def test_without_subscribers_nothing_is_made(two_hands, tf2_msgs):
    parameters = Parameters(publish_tf=True)
    outputs, by_topic = outputs_of(parameters)
    for publisher in by_topic.values():
        publisher.subscribers = 0
    publish(outputs, TrackedHands.untracked(two_hands), parameters)
    assert all(not publisher.messages for publisher in by_topic.values())


def test_images_without_a_frame_are_said(two_hands, tf2_msgs):
    said, parameters = [], Parameters(publish_tf=True)
    outputs, by_topic = outputs_of(parameters, said)
    publish(outputs, TrackedHands.untracked(two_hands), parameters, frame_id="")
    assert len(said) == 1 and "frame_id" in said[0]
    assert by_topic["points"].messages and not by_topic["/tf"].messages


def test_a_missing_tf2_msgs_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_msgs", None)
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", None)
    with pytest.raises(HandmeshError, match=r"tf2_msgs is not there: install ros-.*-tf2-msgs"):
        outputs_of(Parameters(publish_tf=True))
    assert set(outputs_of(Parameters())[1]) == {"points"}


def test_tf2_leads_from_the_camera_to_the_fingertips(two_hands):
    tf2 = pytest.importorskip("tf2_py", reason="needs tf2_py, which only a ROS 2 machine has")
    buffer = tf2.BufferCore()
    for stamped in hand_transforms(two_hands, ["a", "b"], camera_header()):
        buffer.set_transform(stamped, "detector")
    for index, name in enumerate("ab"):
        found = buffer.lookup_transform_core("camera", f"{name}_index_tip", Time(seconds=12))
        np.testing.assert_allclose(pose_of(found)[0], two_hands.joints[index, 8], atol=1e-5)


def test_the_frames_of_the_detector_are_its_hands(make_rig, image):
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs, of a ROS 2 machine")
    rig = make_rig(publish_tf=True, lost_after_s=0.2)
    hands = rig.listen("hands", HandMeshArray)
    frames = rig.listen("/tf", tf2_msgs.TFMessage)
    rig.send_until(lambda: hands and len(frames) >= 3, "image", image)
    for message in frames:
        names = [stamped.child_frame_id for stamped in message.transforms]
        assert len(names) == 12 and {"left_hand", "right_hand"} < set(names)
        assert message.transforms[0].header.stamp.sec > 0, "the image has none: the node's time"
    by_child = {stamped.child_frame_id: stamped for stamped in frames[-1].transforms}
    for hand in hands[-1].hands:
        name = "right_hand" if hand.handedness == RIGHT else "left_hand"
        place, turn = pose_of(by_child[name])
        joints = np.reshape(hand.joints, (21, 3))
        np.testing.assert_allclose(place, joints[0], atol=1e-3)
        tip = turn @ pose_of(by_child[f"{name}_index_tip"])[0] + place
        np.testing.assert_allclose(tip, joints[8], atol=1e-3)

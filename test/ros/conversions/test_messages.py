from dataclasses import replace

import numpy as np
import pytest

from handmesh_ros.hand.conventions import KEYPOINT_NAMES, RIGHT, operator_frame
from handmesh_ros.hand.hands import Hands

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")

from geometry_msgs.msg import PoseArray
from rclpy.serialization import deserialize_message
from std_msgs.msg import Header

from handmesh_ros.hand.hands import State
from handmesh_ros.hand.rotations import matrices
from handmesh_ros.msg import HandMesh, HandMeshArray, LatencyBreakdown
from handmesh_ros.ros.conversions.messages import (
    hand_array,
    image_message,
    message_to_hands,
    topology_message,
    wrists_to_bytes,
)
from handmesh_ros.teleop.gestures import Gesture
from handmesh_ros.tracking.tracker import TrackedHands

pytestmark = pytest.mark.ros

INTRINSICS = np.array([600.0, 610.0, 320.0, 240.0])
LATENCY = LatencyBreakdown(
    preprocess_ms=1.0, inference_ms=2.0, decode_ms=3.0, publish_ms=4.0, age_ms=5.0
)


OPTIONS = {"image_size": (48, 64), "intrinsics": INTRINSICS}


def received(tracked: TrackedHands, frame_id: str = "camera", **options) -> HandMeshArray:
    header = Header(frame_id=frame_id)
    header.stamp.sec = 12
    sent = hand_array(tracked, header, **{**OPTIONS, **options}).to_bytes(LATENCY)
    return deserialize_message(sent, HandMeshArray)


def sent_and_received(hands: Hands, **options) -> HandMeshArray:
    return received(TrackedHands.untracked(hands), **options)


def test_hands_survive_the_way_there_and_back(two_hands):
    back = message_to_hands(sent_and_received(two_hands))
    for name in ("score", "keypoints_2d", "joints", "vertices", "shape", "translation"):
        np.testing.assert_array_equal(getattr(back, name), getattr(two_hands, name), err_msg=name)
    np.testing.assert_allclose(back.right_probability, two_hands.right_probability, atol=1e-6)
    np.testing.assert_allclose(back.rotations, two_hands.rotations, atol=1e-6)
    np.testing.assert_allclose(back.colors, two_hands.colors, atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(back.scale_source, two_hands.scale_source)
    np.testing.assert_array_equal(back.handedness, two_hands.handedness)


def test_a_size_is_no_distance_through_a_lens_that_is_not_known(two_hands):
    hands = two_hands.replace(scale_source=np.array([1, 2], np.uint8))
    guessed, known = (sent_and_received(hands, calibrated=of).hands for of in (False, True))
    assert [hand.scale_source for hand in guessed] == [HandMesh.ASSUMED, HandMesh.DEPTH]
    assert [hand.scale_source for hand in known] == [HandMesh.CALIBRATED, HandMesh.DEPTH]


def test_the_header_is_the_image_s_and_the_intrinsics_those_used(two_hands):
    message = sent_and_received(two_hands)
    assert (message.header.stamp.sec, message.header.frame_id) == (12, "camera")
    np.testing.assert_array_equal(message.intrinsics, INTRINSICS)


def test_fields_mean_what_the_message_says(two_hands):
    right, left = sent_and_received(two_hands).hands
    assert (right.handedness, left.handedness) == (HandMesh.RIGHT, HandMesh.LEFT)
    assert right.handedness_score == pytest.approx(0.95)
    assert left.handedness_score == pytest.approx(0.8)
    assert right.state == HandMesh.TRACKED
    tips = two_hands.joints[0, [HandMesh.THUMB_TIP, HandMesh.INDEX_TIP]]
    assert right.pinch_aperture == pytest.approx(np.linalg.norm(tips[0] - tips[1]), abs=1e-6)
    orientation = right.wrist.pose.orientation
    found = matrices([orientation.x, orientation.y, orientation.z, orientation.w])
    expected = operator_frame(two_hands.joints, two_hands.handedness == RIGHT)[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert right.wrist.pose.position.z == pytest.approx(two_hands.joints[0, 0, 2])
    assert right.wrist.covariance[14] > right.wrist.covariance[0] > 0


def test_directions_are_unit_vectors_and_gestures_count_what_is_seen(two_hands):
    inside = two_hands.replace(keypoints_2d=np.full((2, 21, 2), 20.0, np.float32))
    tracked = replace(
        TrackedHands.untracked(inside),
        gesture=np.array([HandMesh.PINCH, HandMesh.OPEN], np.uint8),
        gesture_score=np.array([0.8, 0.6], np.float32),
    )
    right, left = received(tracked).hands
    assert (right.gesture, left.gesture) == (HandMesh.PINCH, HandMesh.OPEN)
    assert 0.4 <= right.gesture_score <= 0.8
    frame = operator_frame(two_hands.joints, two_hands.handedness == RIGHT)[1]
    np.testing.assert_allclose(vector(left.palm_normal), frame[:, 0], atol=1e-6)
    pinch = two_hands.joints[1, [HandMesh.THUMB_TIP, HandMesh.INDEX_TIP]].mean(0)
    along = pinch - two_hands.joints[1, 0]
    np.testing.assert_allclose(vector(left.approach), along / np.linalg.norm(along), atol=1e-6)


def test_the_constants_name_the_gestures():
    assert [Gesture.NONE, *list(Gesture)[1:]] == [
        HandMesh.NO_GESTURE,
        *(getattr(HandMesh, gesture.name) for gesture in list(Gesture)[1:]),
    ]


def vector(message) -> np.ndarray:
    return np.array([message.x, message.y, message.z])


def test_joints_outside_the_image_are_not_trusted(two_hands):
    keypoints = two_hands.keypoints_2d.copy()
    keypoints[:] = 20.0
    keypoints[0, 8] = (-3.0, 20.0)
    right = sent_and_received(two_hands.replace(keypoints_2d=keypoints)).hands[0]
    assert right.joint_scores[HandMesh.INDEX_TIP] == 0.0
    trusted = np.delete(np.array(right.joint_scores), HandMesh.INDEX_TIP)
    assert set(np.round(trusted, 4)) <= {np.float32(0.9), np.float32(0.45)}


def test_hands_that_the_image_does_not_show_hide_no_joints(two_hands):
    joints = np.stack([two_hands.joints[0], 1.5 * two_hands.joints[0]])
    both = two_hands.replace(joints=joints, keypoints_2d=np.full((2, 21, 2), 20.0, np.float32))
    tracked = TrackedHands.untracked(both)
    behind = received(tracked).hands[1]
    np.testing.assert_allclose(behind.joint_scores, 0.35, rtol=1e-6)
    for state in (State.PREDICTED, State.LOST):
        tracked = replace(tracked, state=np.array([state, State.TRACKED], np.uint8))
        assert np.isclose(received(tracked).hands[1].joint_scores, 0.7).sum() > 10


def test_wrists_are_those_of_the_hands_that_are_not_lost(two_hands):
    tracked = replace(
        TrackedHands.untracked(two_hands), state=np.array([State.LOST, State.TRACKED], np.uint8)
    )
    header = Header(frame_id="camera")
    sent = wrists_to_bytes(hand_array(tracked, header, **OPTIONS))
    wrists = deserialize_message(sent, PoseArray)
    assert wrists.header == header
    assert list(wrists.poses) == [received(tracked).hands[1].wrist.pose]


def test_boxes_are_clipped_to_the_image(two_hands):
    right, left = (hand.box for hand in sent_and_received(two_hands).hands)
    assert (right.x_offset, right.y_offset, right.width, right.height) == (0, 3, 21, 27)
    assert (left.x_offset, left.y_offset, left.width, left.height) == (30, 10, 34, 38)


def test_a_box_outside_the_image_is_empty(two_hands):
    outside = two_hands.replace(box=np.array([[-50, -50, -5, -5], [90, 90, 99, 99]], np.float32))
    for hand in sent_and_received(outside).hands:
        assert (hand.box.width, hand.box.height) == (0, 0)


def test_the_mesh_can_be_left_out(two_hands):
    message = sent_and_received(two_hands, publish_mesh=False)
    assert all(not hand.vertices and not hand.vertex_colors for hand in message.hands)
    assert message_to_hands(message).vertices.shape == (2, 0, 3)


def test_no_hands_make_an_empty_message():
    message = sent_and_received(Hands.empty())
    assert list(message.hands) == []
    assert len(message_to_hands(message)) == 0


def test_the_constants_name_the_joints_in_order():
    assert HandMesh.JOINT_COUNT == len(KEYPOINT_NAMES)
    for index, name in enumerate(KEYPOINT_NAMES):
        assert getattr(HandMesh, name.upper()) == index


def test_the_topology_closes_the_mesh_and_winds_left_hands_the_other_way(template):
    topology = topology_message(template, "model")
    right = np.array(topology.triangles_right).reshape(-1, 3)
    left = np.array(topology.triangles_left).reshape(-1, 3)
    np.testing.assert_array_equal(left, right[:, ::-1])
    edges = {(a, b) for t in right.tolist() for a, b in zip(t, t[1:] + t[:1], strict=True)}
    assert all((b, a) in edges for a, b in edges), "an edge has one triangle only"
    assert topology.vertex_count == template.vertex_count == right.max() + 1
    assert (len(topology.joint_names), len(topology.skeleton_edges)) == (21, 40)
    assert list(topology.rotation_parents)[:2] == [-1, 0]


def test_images_keep_their_pixels():
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    message = image_message(rgb[:, ::-1], Header(frame_id="camera"))
    assert (message.height, message.width, message.step) == (4, 5, 15)
    np.testing.assert_array_equal(np.array(message.data).reshape(4, 5, 3), rgb[:, ::-1])

"""examples/teleop_wrist.py with real messages; what it publishes is caught before DDS."""

import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")

from rclpy.parameter import Parameter
from std_msgs.msg import Bool, Header

from examples.teleop_wrist import TeleopNode
from handmesh_ros.errors import HandmeshError
from handmesh_ros.msg import HandMesh, HandMeshArray

pytestmark = pytest.mark.ros


@pytest.fixture
def make_node(ros):
    nodes = []

    def make(**parameters):
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = TeleopNode(parameter_overrides=overrides)
        nodes.append(node)
        published = []
        node._poses.publish = published.append
        return node, published

    yield make
    for node in nodes:
        node.destroy_node()


def hands_at(x, gesture=HandMesh.GRASP, track_id=1, state=HandMesh.TRACKED, stamp_s=5.0):
    hand = HandMesh(
        track_id=track_id, handedness=HandMesh.RIGHT, score=0.9, gesture=gesture, state=state
    )
    hand.wrist.pose.position.x = x
    message = HandMeshArray(header=Header(frame_id="camera"), hands=[hand])
    message.header.stamp.sec = int(stamp_s)
    message.header.stamp.nanosec = round(1e9 * (stamp_s % 1))
    return message


def last_position(published):
    place = published[-1].pose.position
    return [place.x, place.y, place.z]


def test_closing_the_hand_moves_the_target_and_opening_it_rests(make_node):
    node, published = make_node(position=[0.4, 0.0, 0.3], scale=0.5)
    node.on_hands(hands_at(0.0, HandMesh.OPEN))
    assert not published
    node.on_hands(hands_at(0.0))
    node.on_hands(hands_at(0.2, stamp_s=5.1))
    # To the right in the image is −y of a base that looks forward.
    np.testing.assert_allclose(last_position(published), [0.4, -0.1, 0.3], atol=1e-9)
    assert published[-1].header.frame_id == "base_link"
    assert published[-1].header.stamp.sec == 5
    node.on_hands(hands_at(0.9, HandMesh.OPEN, stamp_s=5.2))
    node.on_hands(hands_at(0.9, stamp_s=5.3))
    np.testing.assert_allclose(last_position(published), [0.4, -0.1, 0.3], atol=1e-9)
    assert len(published) == 3


def test_another_hand_or_one_that_is_not_seen_does_not_make_a_jump(make_node):
    node, published = make_node()
    node.on_hands(hands_at(0.0))
    node.on_hands(hands_at(0.3, state=HandMesh.PREDICTED))
    assert len(published) == 1
    node.on_hands(hands_at(0.5))
    node.on_hands(hands_at(0.8, track_id=2))
    np.testing.assert_allclose(last_position(published), 0.0, atol=1e-9)


@pytest.fixture
def warnings_of(monkeypatch):
    """What a node warns of from now on."""

    def listen(node):
        said = []
        monkeypatch.setattr(node.get_logger(), "warning", said.append)
        return said

    return listen


def test_a_step_that_no_hand_makes_does_not_move_the_target(make_node, warnings_of):
    node, published = make_node()
    said = warnings_of(node)
    node.on_hands(hands_at(0.0, stamp_s=5.0))
    node.on_hands(hands_at(0.18, stamp_s=5.4))
    np.testing.assert_allclose(last_position(published), 0.0, atol=1e-9)
    assert len(said) == 1 and "not seen for 0.400 s, more than 0.25 s" in said[0]
    node.on_hands(hands_at(0.36, stamp_s=5.43))
    np.testing.assert_allclose(last_position(published), 0.0, atol=1e-9)
    assert len(said) == 2 and "moved 0.180 m in 0.030 s, faster than 3 m/s" in said[1]
    node.on_hands(hands_at(0.0, stamp_s=5.46))
    assert len(said) == 2, "the same is not said for every image"
    node.on_hands(hands_at(0.01, stamp_s=5.49))
    np.testing.assert_allclose(last_position(published), [0.0, -0.01, 0.0], atol=1e-9)


def test_the_limits_are_parameters(make_node, warnings_of):
    node, published = make_node(speed_limit_m_s=100, turn_limit_rad_s=1000.0, gap_limit_s=1.0)
    said = warnings_of(node)
    node.on_hands(hands_at(0.0, stamp_s=5.0))
    node.on_hands(hands_at(0.18, stamp_s=5.4))
    node.on_hands(hands_at(0.36, stamp_s=5.43))
    np.testing.assert_allclose(last_position(published), [0.0, -0.36, 0.0], atol=1e-9)
    assert not said
    described = node.describe_parameter("gap_limit_s")
    assert described.description.endswith("[s]") and described.read_only


def test_images_without_stamps_are_followed(make_node, warnings_of):
    node, published = make_node(speed_limit_m_s=100, gap_limit_s=10)
    said = warnings_of(node)
    for x in (0.0, 0.0001, 0.0002):
        node.on_hands(hands_at(x, stamp_s=0.0))
        time.sleep(0.01)
    np.testing.assert_allclose(last_position(published), [0.0, -0.0002, 0.0], atol=1e-9)
    assert not said


def test_a_pedal_engages_too(make_node):
    node, published = make_node(clutch="topic")
    node.on_hands(hands_at(0.0))
    assert not published
    node.on_clutch(Bool(data=True))
    node.on_hands(hands_at(0.0, HandMesh.OPEN))
    assert len(published) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("side", "both"),
        ("clutch", "wave"),
        ("camera_orientation", [0.0, 0.0, 0.0, 0.0]),
        ("scale", "big"),
        ("scale", float("nan")),
        ("scale", -1.0),
        ("position", [1.0]),
        ("position", "here"),
        ("base_frame", 5),
        ("speed_limit_m_s", 0.0),
        ("turn_limit_rad_s", "fast"),
        ("gap_limit_s", -1),
    ],
)
def test_an_impossible_parameter_is_one_sentence(make_node, name, value):
    with pytest.raises(HandmeshError, match=f"The parameter {name} is .*: (give|choose) "):
        make_node(**{name: value})


def test_whole_numbers_are_numbers(make_node):
    node, published = make_node(scale=2, position=[0, 0, 0])
    node.on_hands(hands_at(0.0))
    node.on_hands(hands_at(0.1, stamp_s=5.1))
    np.testing.assert_allclose(np.abs(last_position(published)).max(), 0.2, atol=1e-9)

from dataclasses import replace

import numpy as np
import pytest

from handmesh_ros.hand.conventions import LEFT, RIGHT

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from visualization_msgs.msg import Marker, MarkerArray

from handmesh_ros.ros.publishers.markers import NAMESPACES, SKELETON_LIFT_M, MarkerBuilder

pytestmark = pytest.mark.ros


@pytest.fixture
def builder(template) -> MarkerBuilder:
    return MarkerBuilder(template)


def build(builder, hands, **options) -> MarkerArray:
    data = builder.build(hands, Time(sec=3, nanosec=9), "camera", lifetime_s=0.25, **options)
    return deserialize_message(data, MarkerArray)


def test_ros_reads_the_whole_of_what_was_written(builder, two_hands):
    data = builder.build(two_hands, Time(sec=3, nanosec=9), "camera", lifetime_s=0.25)
    message = deserialize_message(data, MarkerArray)
    again = serialize_message(message)
    assert abs(len(again) - len(data)) < 4, "more than the padding at the end differs"
    assert deserialize_message(again, MarkerArray) == message


def test_every_hand_has_mesh_skeleton_joints_and_label(builder, two_hands, template):
    markers = build(builder, two_hands).markers
    assert [(marker.ns, marker.id) for marker in markers] == [
        (namespace, hand) for hand in (0, 1) for namespace in NAMESPACES
    ]
    mesh, skeleton, joints, label = markers[:4]
    assert mesh.type == Marker.TRIANGLE_LIST
    assert len(mesh.points) == len(mesh.colors) == 3 * len(template.closed_faces)
    assert (skeleton.type, len(skeleton.points), len(skeleton.colors)) == (
        Marker.LINE_LIST,
        40,
        40,
    )
    assert (joints.type, len(joints.points)) == (Marker.SPHERE_LIST, 21)
    assert label.type == Marker.TEXT_VIEW_FACING
    assert label.text.startswith("right 0.90")
    for marker in markers:
        assert marker.action == Marker.ADD
        assert (marker.header.frame_id, marker.header.stamp.sec) == ("camera", 3)
        assert marker.lifetime.nanosec == 250_000_000
        assert marker.pose.orientation.w == 1.0
        assert marker.scale.x > 0 or marker.scale.z > 0
        assert marker.color.a == 1.0 and all(color.a == 1.0 for color in marker.colors)


@pytest.mark.parametrize(("hand", "side"), [(0, RIGHT), (1, LEFT)])
def test_the_mesh_has_the_winding_of_its_side(builder, two_hands, template, hand, side):
    mesh = build(builder, two_hands).markers[4 * hand]
    points = np.array([[point.x, point.y, point.z] for point in mesh.points])
    faces = template.faces_for(side, closed=True)
    np.testing.assert_array_equal(points, two_hands.vertices[hand].astype(float)[faces.ravel()])
    colors = np.array([[color.r, color.g, color.b] for color in mesh.colors])
    shade = colors / two_hands.colors[hand][faces.ravel()]
    np.testing.assert_allclose(shade, shade.mean(axis=1, keepdims=True).repeat(3, 1), rtol=1e-3)
    assert 0.39 < shade.min() < 0.5 and 0.8 < shade.max() < 1.01


def test_hands_that_are_gone_are_deleted_once(builder, two_hands):
    build(builder, two_hands)
    markers = build(builder, two_hands[:1]).markers
    deleted = [(marker.ns, marker.id) for marker in markers if marker.action == Marker.DELETE]
    assert deleted == [(namespace, 1) for namespace in NAMESPACES]
    assert not any(
        marker.action == Marker.DELETE for marker in build(builder, two_hands[:1]).markers
    )


def test_ids_follow_the_hands(builder, two_hands):
    assert {marker.id for marker in build(builder, two_hands, ids=[7, 3]).markers} == {7, 3}
    deleted = [m.id for m in build(builder, two_hands[:1], ids=[3]).markers if m.action]
    assert set(deleted) == {7}


def test_clearing_deletes_everything(builder, two_hands):
    build(builder, two_hands)
    cleared = deserialize_message(builder.clear(Time(), "camera"), MarkerArray)
    assert len(cleared.markers) == 2 * len(NAMESPACES)
    assert all(marker.action == Marker.DELETE for marker in cleared.markers)


def hue(mesh: Marker) -> np.ndarray:
    """Return the one direction of all its colours; they differ in brightness only."""
    colors = np.array([[color.r, color.g, color.b] for color in mesh.colors])
    hues = colors / np.linalg.norm(colors, axis=1, keepdims=True)
    np.testing.assert_allclose(hues, np.broadcast_to(hues[0], hues.shape), atol=1e-5)
    return hues[0]


def test_a_mesh_can_have_the_colour_of_its_side(builder, two_hands):
    right, left = build(builder, two_hands, mesh_color="side").markers[::4]
    assert np.abs(hue(right) - hue(left)).max() > 0.1


def test_a_mesh_can_have_the_colour_of_its_id(builder, two_hands):
    options = {"mesh_color": "id"}
    first, second = build(builder, two_hands, ids=[4, 5], **options).markers[::4]
    assert np.abs(hue(first) - hue(second)).max() > 0.1
    swapped = build(builder, two_hands, ids=[5, 4], **options).markers
    again = {marker.id: hue(marker) for marker in swapped if marker.ns == "mesh"}
    np.testing.assert_allclose(again[4], hue(first), atol=1e-5)


def test_faces_towards_the_camera_are_brighter_than_those_away(builder, two_hands, template):
    hand = replace(two_hands[:1], vertices=template.template[None].astype(np.float32))
    mesh = build(builder, hand, mesh_color="side").markers[0]
    points = np.array([[p.x, p.y, p.z] for p in mesh.points]).reshape(-1, 3, 3)
    brightness = np.array([c.r for c in mesh.colors]).reshape(-1, 3).mean(axis=1)
    normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    towards = normals[:, 2] / np.linalg.norm(normals, axis=1) < -0.7
    away = normals[:, 2] / np.linalg.norm(normals, axis=1) > 0.7
    assert brightness[towards].mean() > 1.4 * brightness[away].mean()


def test_a_hand_that_is_not_seen_is_translucent(builder, two_hands):
    markers = build(builder, two_hands, seen=np.array([True, False])).markers
    for marker in markers:
        alphas = {color.a for color in marker.colors} or {marker.color.a}
        assert alphas == {1.0} if marker.id == 0 else max(alphas) < 0.5


def test_the_skeleton_covers_the_hand_from_the_camera_and_lies_before_it(builder, two_hands):
    joints = build(builder, two_hands[:1]).markers[2]
    points = np.array([[p.x, p.y, p.z] for p in joints.points])
    np.testing.assert_allclose(
        points[:, :2] / points[:, 2:],
        two_hands.joints[0, :, :2] / two_hands.joints[0, :, 2:],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        two_hands.joints[0, :, 2] - points[:, 2], SKELETON_LIFT_M, atol=1e-6
    )


def test_the_label_is_above_the_hand(builder, two_hands):
    label = build(builder, two_hands[:1]).markers[3].pose.position
    assert label.y < two_hands.joints[0, :, 1].min() - 0.02
    assert two_hands.joints[0, :, 0].min() < label.x < two_hands.joints[0, :, 0].max()

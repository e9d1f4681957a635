"""The rows of the table "In a robot's system" of docs/ros.md: one test for each."""

import random
import threading
import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import GetParameters
from rclpy.executors import MultiThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from handmesh_ros.msg import HandMesh, HandMeshArray
from handmesh_ros.ros.node import DetectorNode

pytestmark = pytest.mark.ros

FAILURE, SUCCESS = TransitionCallbackReturn.FAILURE, TransitionCallbackReturn.SUCCESS


def state_of(rig) -> str:
    return rig.node._state_machine.current_state[1]


def test_namespace_and_name_move_everything_but_diagnostics(make_rig, image):
    rig = make_rig(remappings=["__ns:=/robot/head", "__node:=eyes_detector"])
    assert rig.node.get_fully_qualified_name() == "/robot/head/eyes_detector"
    hands = rig.listen("/robot/head/hands", HandMeshArray)
    reports = rig.listen("/diagnostics", DiagnosticArray)
    rig.send_until(lambda: hands, "/robot/head/image", image)
    name = "robot/head/eyes_detector: hand detection"
    rig.wait_for(lambda: any(report.status[0].name == name for report in reports))
    service = "/robot/head/eyes_detector/get_parameters"
    assert rig.client.create_client(GetParameters, service).wait_for_service(10.0)


def test_every_topic_can_be_remapped(make_rig, image, camera_info):
    names = {"image": "/cam/raw", "camera_info": "/cam/info", "hands": "/robot/hands"}
    rig = make_rig(remappings=[f"{own}:={other}" for own, other in names.items()])
    hands = rig.listen("/robot/hands", HandMeshArray)
    rig.send("/cam/info", camera_info)
    rig.send_until(lambda: hands and hands[-1].calibrated, "/cam/raw", image)


def test_beside_other_nodes_in_an_executor_of_ours(ros, tiny_model, image):
    """rclpy has no component containers; a process of one's own takes their place."""
    node = DetectorNode(
        namespace="/composed",
        parameter_overrides=[Parameter("model", value=str(tiny_model))],
    )
    other = rclpy.create_node("other", namespace="/composed")
    hands: list[HandMeshArray] = []
    other.create_subscription(HandMeshArray, "hands", hands.append, 1)
    camera = other.create_publisher(Image, "image", 1)
    executor = MultiThreadedExecutor(3)
    for each in (node, other):
        executor.add_node(each)
    assert node.start()
    spinner = threading.Thread(target=executor.spin, daemon=True)
    spinner.start()
    try:
        end = time.monotonic() + 30.0
        while len(hands) < 5 and time.monotonic() < end:
            camera.publish(image)
            time.sleep(0.03)
        assert len(hands) >= 5
    finally:
        node.stop()
        executor.shutdown()
        spinner.join(10.0)
        for each in (node, other):
            each.destroy_node()


def test_a_clock_that_jumps_back_loses_the_hands_once(make_rig, image):
    rig = make_rig(use_sim_time=True)
    hands = rig.listen("hands", HandMeshArray)
    seen, lost = [], []
    for _ in range(2):
        for step in range(4):
            at = Time(sec=50, nanosec=step * 10**8)
            rig.send("/clock", Clock(clock=at))
            image.header.stamp = at
            hands.clear()
            rig.send("image", image)
            rig.wait_for(lambda: hands)
            seen.append({hand.track_id for hand in hands[0].hands if hand.state != HandMesh.LOST})
            lost.append({hand.track_id for hand in hands[0].hands if hand.state == HandMesh.LOST})
    assert seen == [{1, 2}] * 4 + [{3, 4}] * 4
    assert lost == [set()] * 4 + [{1, 2}] + [set()] * 3
    assert sum("jumped back" in log for log in rig.logs) == 1


def test_transitions_in_odd_orders_end_where_they_should(make_rig, image):
    rig = make_rig(start=False)
    change = {
        "configure": rig.node.trigger_configure,
        "activate": rig.node.trigger_activate,
        "deactivate": rig.node.trigger_deactivate,
        "cleanup": rig.node.trigger_cleanup,
    }
    goes = {
        ("unconfigured", "configure"): "inactive",
        ("inactive", "activate"): "active",
        ("active", "deactivate"): "inactive",
        ("inactive", "cleanup"): "unconfigured",
    }
    chosen = random.Random(3)
    for _ in range(40):
        before, name = state_of(rig), chosen.choice(list(change))
        expected = goes.get((before, name))
        assert rig.run(change[name]) == (FAILURE if expected is None else SUCCESS)
        assert state_of(rig) == (expected or before), (before, name)
    while state_of(rig) != "active":
        rig.run(change["configure" if state_of(rig) == "unconfigured" else "activate"])
    hands = rig.listen("hands", HandMeshArray)
    rig.send_until(lambda: hands, "image", image)
    assert not any("Traceback" in log for log in rig.logs)


@pytest.mark.parametrize("steps", [[], ["configure"], ["configure", "activate", "deactivate"]])
def test_parameters_changed_while_inactive_hold_when_it_is_active(make_rig, image, steps):
    rig = make_rig(start=False)
    for step in steps:
        assert rig.run(getattr(rig.node, f"trigger_{step}")) == SUCCESS

    def set_to(name, value):
        return rig.run(lambda: rig.node.set_parameters([Parameter(name, value=value)]))[0]

    assert set_to("max_hands", 1).successful
    refused = set_to("max_hands", 1000)
    assert not refused.successful and "max_hands" in refused.reason
    assert not set_to("backend", "torch").successful, "read-only"
    if not steps:
        assert rig.run(rig.node.trigger_configure) == SUCCESS
    assert rig.run(rig.node.trigger_activate) == SUCCESS
    hands = rig.listen("hands", HandMeshArray)
    rig.send_until(lambda: hands, "image", image)
    assert len(hands[-1].hands) == 1


def test_one_switch_of_resolution_is_no_second_camera(make_rig, image):
    rig = make_rig()
    hands = rig.listen("hands", HandMeshArray)
    rig.send_until(lambda: hands, "image", image)
    small = Image(header=image.header, height=24, width=32, encoding="rgb8", step=96)
    small.data = bytes([90]) * (24 * 96)
    ids: set[int] = set()

    def is_new():
        ids.update(hand.track_id for message in hands for hand in message.hands)
        return {1, 2, 3, 4} <= ids

    rig.send_until(is_new, "image", small)
    assert not any("one topic" in log for log in rig.logs)

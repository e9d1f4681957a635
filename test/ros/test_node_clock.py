"""The detector in simulated time: not begun, standing still, and of a bag that loops."""

import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rosgraph_msgs.msg import Clock

from handmesh_ros.msg import HandMeshArray

pytestmark = pytest.mark.ros


def test_simulated_time_that_has_not_begun_does_not_keep_the_node_from_working(make_rig, image):
    rig = make_rig(use_sim_time=True)
    reports = rig.listen("/diagnostics", DiagnosticArray)
    hands = rig.listen("hands", HandMeshArray)
    image.header.stamp = Time(sec=50)
    rig.send_until(lambda: hands, "image", image)
    assert hands[-1].latency.age_ms != hands[-1].latency.age_ms, "an age needs a clock"
    rig.wait_for(lambda: reports)


def test_ages_are_in_simulated_time(make_rig, image):
    rig = make_rig(use_sim_time=True)
    hands = rig.listen("hands", HandMeshArray)
    rig.send("/clock", Clock(clock=Time(sec=50, nanosec=200_000_000)))
    time.sleep(0.1)
    image.header.stamp = Time(sec=50)
    rig.send_until(lambda: hands and abs(hands[-1].latency.age_ms - 200) < 1, "image", image)

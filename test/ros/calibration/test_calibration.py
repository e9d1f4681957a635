"""The service calibrate_hand over real DDS."""

import sys
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")

from rclpy.parameter import Parameter
from sensor_msgs.msg import PointCloud2

from handmesh_ros.hand.conventions import LEFT, RIGHT
from handmesh_ros.hand.hands import ScaleSource
from handmesh_ros.hand.size import hand_length
from handmesh_ros.msg import HandMesh, HandMeshArray
from handmesh_ros.ros.calibration.lengths_file import read_lengths
from handmesh_ros.srv import CalibrateHand

pytestmark = pytest.mark.ros


def call(rig, side, length_m=0.0):
    client = rig.client.create_client(CalibrateHand, "calibrate_hand")
    rig.wait_for(client.service_is_ready)
    future = client.call_async(CalibrateHand.Request(side=side, length_m=length_m))
    rig.wait_for(future.done)
    return future.result()


def test_a_ruler_s_length_is_in_force_at_once_and_after_a_new_start(
    make_rig, image, camera_info, tmp_path
):
    path = tmp_path / "lengths.yaml"
    rig = make_rig(calibration_file=str(path))
    answer = call(rig, CalibrateHand.Request.RIGHT, 0.172)
    assert answer.success and answer.length_m == 0.172 and str(path) in answer.message
    assert rig.node.parameters.right_hand_length_m == 0.172
    assert read_lengths(path) == {"right": 0.172}
    hands = rig.listen("hands", HandMeshArray)
    rig.send_until(lambda: hands, "image", image)
    assert {hand.scale_source for hand in hands[-1].hands} == {HandMesh.ASSUMED}, "no camera_info"
    rig.send("camera_info", camera_info)
    rig.send_until(lambda: hands[-1].calibrated, "image", image)
    sources = {hand.handedness: hand.scale_source for hand in hands[-1].hands}
    assert sources[HandMesh.RIGHT] == HandMesh.CALIBRATED
    assert sources.get(HandMesh.LEFT, HandMesh.ASSUMED) == HandMesh.ASSUMED

    again = make_rig(calibration_file=str(path))
    assert again.node.parameters.right_hand_length_m == 0.172
    given = make_rig(calibration_file=str(path), right_hand_length_m=0.2)
    assert given.node.parameters.right_hand_length_m == 0.2


def test_a_length_set_to_zero_is_the_stored_one(make_rig, tmp_path):
    path = tmp_path / "lengths.yaml"
    path.write_text("right: 0.172\n")
    rig = make_rig(calibration_file=str(path), right_hand_length_m=0.2)

    def set_lengths(left_m, right_m):
        lengths = {"left_hand_length_m": left_m, "right_hand_length_m": right_m}
        changes = [Parameter(name, value=value) for name, value in lengths.items()]
        results = rig.run(lambda: rig.node.set_parameters(changes))
        assert all(result.successful for result in results)

    set_lengths(0.19, 0.0)
    rig.wait_for(lambda: rig.node.parameters.right_hand_length_m == 0.172)
    assert rig.node.get_parameter("right_hand_length_m").value == 0.172
    set_lengths(0.0, 0.18)
    time.sleep(0.2)
    assert rig.node.parameters.left_hand_length_m == 0.0, "none is stored"
    assert rig.node.parameters.right_hand_length_m == 0.18


def test_depth_s_length_needs_depth(make_rig, two_hands, tmp_path):
    rig = make_rig(calibration_file=str(tmp_path / "lengths.yaml"))
    answer = call(rig, LEFT)
    assert not answer.success and "set use_depth" in answer.message
    measured = two_hands.replace(
        joints=two_hands.joints * (0.181 / hand_length(two_hands.joints))[:, None, None],
        scale_source=np.full(2, ScaleSource.DEPTH, np.uint8),
    )
    for _ in range(30):
        rig.node._depth.meter.add(measured, time.monotonic())
    answer = call(rig, LEFT)
    assert answer.success and answer.sample_count == 30
    assert answer.length_m == pytest.approx(0.181)
    assert rig.node.parameters.left_hand_length_m == pytest.approx(0.181)


@pytest.mark.parametrize(("side", "length_m"), [(2, 0.19), (RIGHT, 19.0), (RIGHT, -1.0)])
def test_an_impossible_request_is_one_sentence(make_rig, tmp_path, side, length_m):
    rig = make_rig(calibration_file=str(tmp_path / "lengths.yaml"))
    answer = call(rig, side, length_m)
    assert not answer.success and "give" in answer.message
    assert rig.node.parameters.right_hand_length_m == 0.0


def test_a_damaged_file_is_said_and_the_node_lives(make_rig, tmp_path):
    path = tmp_path / "lengths.yaml"
    path.write_text("left: [")
    rig = make_rig(calibration_file=str(path))
    assert rig.node.parameters.left_hand_length_m == 0.0
    answer = call(rig, LEFT, 0.18)
    assert answer.success and f"kept as {path}.damaged" in answer.message
    assert read_lengths(path) == {"left": 0.18}


def test_frames_without_tf2_msgs_keep_the_node_unconfigured(make_rig, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", None)
    rig = make_rig(start=False, publish_tf=True)
    assert not rig.run(rig.node.start)
    rig.wait_for(lambda: any("tf2_msgs is not there" in log for log in rig.logs))
    assert rig.node._pipeline is None, "the model is still loaded"
    assert not rig.node._publishers_made


def test_points_are_a_result_that_somebody_may_want(make_rig, image):
    rig = make_rig()
    points = rig.listen("points", PointCloud2)
    rig.send_until(lambda: points, "image", image)
    assert points[0].width % 778 == 0 and points[0].width > 0
    assert np.frombuffer(points[0].data, np.uint8).size == points[0].row_step


def test_a_file_that_cannot_be_written_is_said_at_start(make_rig, tmp_path, capfd):
    (tmp_path / "file").write_text("")
    make_rig(calibration_file=str(tmp_path / "file" / "lengths.yaml"))
    assert "calibrate_hand would fail: set calibration_file" in capfd.readouterr().err

"""Generated messages over real DDS: the node goes on, and says what is wrong in sentences."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")

sys.path.append(str(Path(__file__).resolve().parents[1] / "fuzz"))

from fuzz_messages import camera_infos, depth_images, images
from fuzz_oracles import check_sentence
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, Image

from handmesh_ros.msg import HandMeshArray

pytestmark = pytest.mark.ros


def test_whatever_comes_over_dds_the_next_good_image_works(make_rig, image, camera_info):
    rig = make_rig(use_depth=True, undistort=True)
    hands = rig.listen("hands", HandMeshArray)
    publishers = {
        topic: rig.client.create_publisher(kind, topic, 1)
        for topic, kind in (("image", Image), ("camera_info", CameraInfo), ("depth", Image))
    }
    messages = st.one_of(
        st.tuples(st.just("image"), images()),
        st.tuples(st.just("camera_info"), camera_infos()),
        st.tuples(st.just("depth"), depth_images()),
    )

    def answers() -> HandMeshArray:
        hands.clear()
        rig.send_until(lambda: any(each.calibrated for each in hands), "image", image)
        return next(each for each in hands if each.calibrated)

    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(messages, min_size=5, max_size=25))
    def send(stream):
        for topic, message in stream:
            publishers[topic].publish(message)
            time.sleep(0.004)
        camera_info.header.frame_id = image.header.frame_id
        rig.send("camera_info", camera_info)
        found = answers()
        assert len([hand for hand in found.hands if hand.state == 0]) == 2
        for array in hands:
            ids = [hand.track_id for hand in array.hands]
            assert len(set(ids)) == len(ids)
            assert all(np.isfinite(hand.joints).all() for hand in array.hands)

    send()
    complaints = [log for log in rig.logs if "runs on" not in log]
    for log in complaints:
        check_sentence(log)

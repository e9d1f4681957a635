"""examples/retarget_dexterous_hand.py: its sentences, and with the library a small robot hand."""

import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")

from rclpy.parameter import Parameter

from examples.retarget_dexterous_hand import Retargeter, RetargetNode
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import RIGHT
from handmesh_ros.msg import HandMesh, HandMeshArray

pytestmark = pytest.mark.ros

LINK = """<link name="{name}"><inertial><mass value="0.1"/>
<inertia ixx="1e-4" ixy="0" ixz="0" iyy="1e-4" iyz="0" izz="1e-4"/></inertial></link>"""
JOINT = """<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>
<origin xyz="{xyz}" rpy="0 0 0"/><axis xyz="0 1 0"/>
<limit lower="0" upper="1.6" effort="1" velocity="1"/></joint>"""


def write_robot(folder):
    """A hand with two fingers of two hinges each; its axes are those of the operator frame."""
    names, parts = ["palm"], []
    for finger, side in (("thumb", "0.03"), ("index", "0.0")):
        chain = ("palm", f"{finger}_1", f"{finger}_2", f"{finger}_tip")
        offsets = (f"0 {side} 0.09", "0 0 0.05", "0 0 0.04")
        for parent, child, xyz in zip(chain[:-1], chain[1:], offsets, strict=True):
            kind = "fixed" if child.endswith("tip") else "revolute"
            parts.append(
                JOINT.format(name=child + "_joint", kind=kind, parent=parent, child=child, xyz=xyz)
            )
            names.append(child)
    links = [LINK.format(name=name) for name in names]
    text = "\n".join(['<robot name="pincer">', *links, *parts, "</robot>"])
    (folder / "pincer.urdf").write_text(text)
    config = folder / "pincer.yml"
    config.write_text(
        "retargeting:\n"
        "  type: vector\n"
        "  urdf_path: pincer.urdf\n"
        "  target_origin_link_names: [palm, palm]\n"
        "  target_task_link_names: [thumb_tip, index_tip]\n"
        "  target_link_human_indices: [[0, 0], [4, 8]]\n"
        "  scaling_factor: 1.0\n"
    )
    return config


def hand_of(bend_deg, is_right=True):
    """Keypoints whose fingers close in the operator frame, as the robot's do; then moved."""
    joints, angles = np.zeros((21, 3)), np.radians(bend_deg) * np.array([0, 1, 2, 2])
    for finger, beside in enumerate((0.03, 0.025, 0.0, -0.02, -0.04)):
        place = np.array([0.0, beside, 0.09])
        for part in range(4):
            joints[4 * finger + 1 + part] = place
            length = 0.05 if part == 0 else 0.02
            angle = angles[min(part + 1, 3)]
            place = place + length * np.array([np.sin(angle), 0.0, np.cos(angle)])
    joints[9] = (0.0, 0.0, 0.09)
    if not is_right:
        joints[:, 1] *= -1
    turn = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    return joints @ turn.T + [0.1, 0.0, 0.6]


def test_a_missing_library_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "dex_retargeting", None)
    with pytest.raises(HandmeshError, match="pip install dex-retargeting torch six"):
        Retargeter(str(tmp_path), "allegro", RIGHT)


def test_missing_models_and_unknown_robots_are_one_sentence(tmp_path):
    pytest.importorskip("dex_retargeting", reason="needs dex-retargeting, torch and six")
    for folder in ("", "/nowhere"):
        with pytest.raises(HandmeshError, match="git clone .*dex-urdf"):
            Retargeter(folder, "allegro", RIGHT)
    with pytest.raises(HandmeshError, match="does not know 'lobster'.*shadow"):
        Retargeter(str(tmp_path), "lobster", RIGHT)
    with pytest.raises(HandmeshError, match="cannot be used with the models"):
        Retargeter(str(tmp_path), "allegro", RIGHT)


@pytest.mark.parametrize(
    "content",
    [
        "# Notes\n\n| a | b |\n: [broken `yaml`\n",
        "just text",
        "",
        "retargeting: 5\n",
        "retargeting:\n  type: 7\n  urdf_path: pincer.urdf\n",
        "retargeting:\n  type: vector\n  urdf_path: pincer.yml\n  target_task_link_names: [palm]\n"
        "  target_origin_link_names: [palm]\n  target_link_human_indices: [[0], [4]]\n",
    ],
)
def test_settings_that_are_none_are_one_sentence(tmp_path, content):
    pytest.importorskip("dex_retargeting", reason="needs dex-retargeting, torch and six")
    config = tmp_path / "pincer.yml"
    config.write_text(content)
    with pytest.raises(HandmeshError, match="settings .*pincer.yml cannot be used") as caught:
        Retargeter(str(tmp_path), "", RIGHT, config=str(config))
    assert len(str(caught.value).splitlines()) == 1


def test_a_robot_hand_closes_with_the_person_s(tmp_path):
    pytest.importorskip("dex_retargeting", reason="needs dex-retargeting, torch and six")
    config = write_robot(tmp_path)
    retargeter = Retargeter(str(tmp_path), "", RIGHT, config=str(config))
    assert set(retargeter.joint_names) == {
        f"{f}_{k}_joint" for f in ("thumb", "index") for k in (1, 2)
    }
    index = [retargeter.joint_names.index(f"index_{k}_joint") for k in (1, 2)]
    sums = []
    for bend in (5, 25, 45):
        for _ in range(30):
            angles = retargeter.retarget(hand_of(bend))
        sums.append(angles[index].sum())
    assert sums[0] < sums[1] - 0.2 < sums[2] - 0.4


def test_the_node_publishes_joint_states_for_the_hand_it_follows(ros, tmp_path):
    pytest.importorskip("dex_retargeting", reason="needs dex-retargeting, torch and six")
    config = write_robot(tmp_path)
    overrides = {"urdf_dir": str(tmp_path), "config": str(config), "side": "left"}
    node = RetargetNode(
        parameter_overrides=[Parameter(name, value=v) for name, v in overrides.items()]
    )
    published = []
    node._states.publish = published.append
    joints = hand_of(30, is_right=False).astype(np.float32)
    hands = [
        HandMesh(handedness=HandMesh.LEFT, track_id=3, joints=joints.ravel()),
        HandMesh(handedness=HandMesh.RIGHT, track_id=4),
    ]
    message = HandMeshArray(hands=hands)
    message.header.stamp.sec = 8
    node.on_hands(message)
    assert published[0].header.stamp.sec == 8
    assert len(published[0].name) == len(published[0].position) == 4
    message.hands[0].state = HandMesh.PREDICTED
    node.on_hands(message)
    assert len(published) == 1, "a pose that is not seen moves no robot"
    node.destroy_node()

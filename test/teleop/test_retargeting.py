"""teleop/retargeting.py against dex-retargeting's own estimate, on hands of any shape and pose."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from benchmarks.retargeting import library_estimate, plane_fit
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import LEFT, RIGHT, operator_frame
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.teleop.retargeting import (
    dex_retargeting_frame,
    dex_retargeting_points,
    order_by_name,
)

# `OPERATOR2MANO` of dex_retargeting/constants.py; compared with it where it is installed.
OPERATOR2MANO = {
    RIGHT: np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]]),
    LEFT: np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]]),
}
CHECKOUT = os.environ.get("HANDMESH_DEX_RETARGETING", "")
TEMPLATE = HandTemplate.bundled()

sides = st.sampled_from([LEFT, RIGHT])


@st.composite
def hands(draw):
    """21 points within a decimetre of a place in front of the camera."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return generator.uniform(-0.1, 0.1, (21, 3)) + generator.uniform([-1, -1, 0], [1, 1, 3])


def degrees(first, second):
    return np.degrees(Rotation.from_matrix(first.T @ second).magnitude())


def spread(joints):
    """The sine between the wrist's ways to both knuckles: the frame is undefined at 0."""
    first, second = joints[5] - joints[0], joints[9] - joints[0]
    norms = np.linalg.norm(first) * np.linalg.norm(second)
    return np.linalg.norm(np.cross(first, second)) / max(norms, 1e-12)


@settings(deadline=None)
@given(hands(), sides)
def test_the_frame_is_that_of_a_plane_fit_and_their_matrices(joints, side):
    assume(spread(joints) > 1e-3)
    expected = plane_fit(joints) @ OPERATOR2MANO[side]
    assert degrees(dex_retargeting_frame(joints, side == RIGHT), expected) < 0.001
    points = (joints - joints[0]) @ plane_fit(joints) @ OPERATOR2MANO[side]
    np.testing.assert_allclose(dex_retargeting_points(joints, side == RIGHT), points, atol=1e-6)


@pytest.mark.skipif(not CHECKOUT, reason="HANDMESH_DEX_RETARGETING names no checkout of it")
@settings(deadline=None)
@given(hands(), sides)
def test_the_frame_is_that_of_the_library_s_own_function(joints, side):
    assume(spread(joints) > 1e-3)
    expected = library_estimate(Path(CHECKOUT))(joints - joints[0]) @ OPERATOR2MANO[side]
    assert degrees(dex_retargeting_frame(joints, side == RIGHT), expected) < 0.1


def test_the_matrices_are_the_library_s():
    constants = pytest.importorskip("dex_retargeting.constants", reason="needs dex-retargeting")
    for side, name in ((LEFT, "left"), (RIGHT, "right")):
        theirs = constants.OPERATOR2MANO[constants.HandType[name]]
        np.testing.assert_array_equal(OPERATOR2MANO[side], theirs)


@settings(deadline=None)
@given(hands(), sides, st.integers(0, 2**32 - 1))
def test_the_points_stay_when_the_hand_is_moved_and_mirror_images_agree(joints, side, seed):
    assume(spread(joints) > 1e-3)
    points = dex_retargeting_points(joints, side == RIGHT)
    turn = Rotation.random(random_state=seed % 2**32).as_matrix()
    moved = dex_retargeting_points(joints @ turn.T + [0.3, -0.1, 0.8], side == RIGHT)
    np.testing.assert_allclose(moved, points, atol=1e-9)
    mirrored = dex_retargeting_points(joints * [-1, 1, 1], side != RIGHT)
    np.testing.assert_allclose(mirrored * [1, -1, 1], points, atol=1e-9)


def test_the_published_frame_is_another_one_by_a_roll_about_its_z_axis():
    from handmesh_ros.hand.conventions import KEYPOINT_FROM_MODEL_JOINT

    flat = TEMPLATE.joint_template[np.maximum(KEYPOINT_FROM_MODEL_JOINT, 0)]
    published, theirs = operator_frame(flat, True), dex_retargeting_frame(flat, True)
    np.testing.assert_allclose(published[:, 2], theirs[:, 2], atol=1e-9)
    assert 5 < degrees(published, theirs) < 15


def test_batches_and_hands_without_a_palm():
    batch = np.random.default_rng(1).normal(size=(3, 2, 21, 3))
    right = np.array([[True, False], [False, True], [True, True]])
    frames = dex_retargeting_frame(batch, right)
    np.testing.assert_allclose(frames[1, 0], dex_retargeting_frame(batch[1, 0], False))
    np.testing.assert_array_equal(dex_retargeting_frame(np.zeros((21, 3)), True), np.eye(3))
    assert dex_retargeting_points(np.zeros((0, 21, 3)), np.zeros(0, bool)).shape == (0, 21, 3)


@settings(deadline=None)
@given(st.permutations([f"joint_{i}" for i in range(6)]), st.integers(1, 6))
def test_joints_find_their_places_by_name(names, count):
    wanted = [f"joint_{i}" for i in range(count)]
    values = np.array([[float(name[-1]), -float(name[-1])] for name in names]).T
    ordered = order_by_name(values, names, wanted)
    np.testing.assert_array_equal(ordered, [np.arange(count), -np.arange(count)])
    prefixed = order_by_name(values, names, [f"hand/{name}" for name in wanted], prefix="hand/")
    np.testing.assert_array_equal(prefixed, ordered)


def test_joints_that_do_not_fit_are_one_sentence():
    with pytest.raises(HandmeshError, match="no value for the joints c, d, only for a, b"):
        order_by_name(np.zeros(2), ["a", "b"], ["a", "c", "d"])
    with pytest.raises(HandmeshError, match="2 joint values for 3 names"):
        order_by_name(np.zeros(2), ["a", "b", "c"], ["a"])
    with pytest.raises(HandmeshError, match="joint names a occur twice"):
        order_by_name(np.zeros(3), ["a", "b", "a"], ["a"])


URDF_LINK = """<link name="{0}"><inertial><mass value="0.1"/>
<inertia ixx="1e-4" ixy="0" ixz="0" iyy="1e-4" iyz="0" izz="1e-4"/></inertial></link>"""
URDF_JOINT = """<joint name="{child}_joint" type="revolute"><parent link="{parent}"/>
<child link="{child}"/><origin xyz="{xyz}" rpy="0 0 0"/><axis xyz="{axis}"/>
<limit lower="-1.6" upper="1.6" effort="1" velocity="1"/></joint>"""


def test_pinocchio_s_angles_pose_the_same_robot_in_mujoco(tmp_path):
    """Both read one file, and order its joints differently: by name its fingertips agree."""
    pinocchio = pytest.importorskip("pinocchio", reason="needs the extra [retarget]")
    mujoco = pytest.importorskip("mujoco", reason="needs the extra [sim]")
    links, joints = ["palm"], []
    for finger, y, axis in (
        ("thumb", 0.03, "1 0 0"),
        ("index", 0.01, "0 1 0"),
        ("ring", -0.02, "0 0.8 0.6"),
    ):
        for part, parent in ((1, "palm"), (2, f"{finger}_1"), (3, f"{finger}_2")):
            child, xyz = f"{finger}_{part}", f"0.01 {y if part == 1 else 0} 0.05"
            joints.append(URDF_JOINT.format(child=child, parent=parent, xyz=xyz, axis=axis))
            links.append(child)
    path = tmp_path / "hand.urdf"
    text = "".join([*(URDF_LINK.format(link) for link in links), *joints])
    compiler = '<mujoco><compiler fusestatic="false"/></mujoco>'
    path.write_text(f'<robot name="hand">{compiler}{text}</robot>')

    theirs = pinocchio.buildModelFromUrdf(str(path))
    names = list(theirs.names)[1:]
    model = mujoco.MjModel.from_xml_path(str(path))
    wanted = [model.joint(index).name for index in range(model.njnt)]
    assert names != wanted and set(names) == set(wanted)
    angles = np.random.default_rng(2).uniform(-1, 1, len(names))
    data, there = mujoco.MjData(model), theirs.createData()
    data.qpos[:] = order_by_name(angles, names, wanted)
    mujoco.mj_kinematics(model, data)
    pinocchio.framesForwardKinematics(theirs, there, angles)
    for tip in ("thumb_3", "index_3", "ring_3"):
        expected = there.oMf[theirs.getFrameId(tip)].translation
        np.testing.assert_allclose(data.body(tip).xpos, expected, atol=1e-6)

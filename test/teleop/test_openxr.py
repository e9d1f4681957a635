import numpy as np
import pytest

from handmesh_ros.hand.conventions import KEYPOINT_NAMES, LEFT, MIRROR, RIGHT
from handmesh_ros.hand.rotations import matrices
from handmesh_ros.teleop.openxr import (
    CAMERA_TO_OPENXR,
    OPENXR_JOINT_NAMES,
    RADIUS_RATIO,
    to_openxr,
)

# The open hand with its palm down and its fingers forward, in OpenXR's axes: the picture in
# "Conventions of hand joints". The hand model's fingers point to −x and its palm to −y.
FORWARD = {
    RIGHT: np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]),
    LEFT: np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
}
SAME = {
    "wrist": "wrist",
    "thumb_metacarpal": "thumb_cmc",
    "thumb_proximal": "thumb_mcp",
    "thumb_distal": "thumb_ip",
    **{
        f"{finger}_{bone}": f"{finger}_{joint}"
        for finger in ("index", "middle", "ring", "little")
        for bone, joint in (("proximal", "mcp"), ("intermediate", "pip"), ("distal", "dip"))
    },
}


def at(name):
    return OPENXR_JOINT_NAMES.index(name)


def test_there_are_26_joints_in_the_order_of_the_enumeration():
    assert len(OPENXR_JOINT_NAMES) == len(set(OPENXR_JOINT_NAMES)) == len(RADIUS_RATIO) == 26
    for name, index in {
        "palm": 0,
        "wrist": 1,
        "thumb_metacarpal": 2,
        "thumb_tip": 5,
        "index_metacarpal": 6,
        "middle_proximal": 12,
        "ring_tip": 20,
        "little_distal": 24,
        "little_tip": 25,
    }.items():
        assert at(name) == index


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_an_open_hand_has_the_axes_of_the_specification(posed, side):
    hand = to_openxr(posed("flat", side)[0], side == RIGHT, FORWARD[side])
    axes = matrices(hand.orientation)
    for index, name in enumerate(OPENXR_JOINT_NAMES):
        right, up, backward = axes[index].T
        np.testing.assert_allclose(np.cross(up, backward), right, atol=1e-6)
        if name.startswith("thumb"):
            continue
        assert backward[2] > 0.85, f"{name}: +Z points to the wrist"
        assert up[1] > 0.85, f"{name}: +Y points out of the back of the hand"
        assert right[0] > 0.85, f"{name}: +X points to the right on both hands"
    thumb, little = (hand.position[at(name)][0] for name in ("thumb_tip", "little_tip"))
    assert (thumb < little) == (side == RIGHT)


@pytest.mark.parametrize("name", ["open", "fist", "pinch"])
def test_known_joints_are_ours_and_the_others_lie_in_the_palm(posed, name):
    joints, vertices, _ = posed(name)
    hand = to_openxr(joints, True, np.eye(3))
    for theirs, ours in SAME.items():
        np.testing.assert_allclose(hand.position[at(theirs)], joints[KEYPOINT_NAMES.index(ours)])
    wrist, palm = joints[0], hand.position[at("palm")]
    middle = hand.position[[at("middle_metacarpal"), at("middle_proximal")]]
    np.testing.assert_allclose(palm, middle.mean(0))
    lengths = []
    for finger in ("index", "middle", "ring", "little"):
        begin, knuckle = (hand.position[at(f"{finger}_{b}")] for b in ("metacarpal", "proximal"))
        lengths.append(np.linalg.norm(knuckle - begin))
        assert 0.015 < np.linalg.norm(begin - wrist) < 0.05
        assert np.linalg.norm(vertices - begin, axis=-1).min() > 0.005, "it lies inside"
        backward = matrices(hand.orientation[at(f"{finger}_metacarpal")])[:, 2]
        np.testing.assert_allclose(backward, (begin - knuckle) / lengths[-1], atol=1e-6)
    assert all(0.04 < length < 0.08 for length in lengths), "as long as metacarpals are"


def test_radii_reach_from_the_palm_to_the_skin_and_tips_lie_inside(posed):
    joints, vertices, _ = posed("open")
    hand = to_openxr(joints, True, np.eye(3))
    assert (hand.radius > 0.003).all() and (hand.radius < 0.03).all()
    up = matrices(hand.orientation[0])[:, 1]
    for sign in (-1, 1):
        surface = hand.position[0] + sign * hand.radius[0] * up
        assert np.linalg.norm(vertices - surface, axis=-1).min() < 0.01
    tip, distal = hand.position[at("index_tip")], hand.position[at("index_distal")]
    ours = joints[KEYPOINT_NAMES.index("index_tip")]
    assert np.linalg.norm(ours - tip) == pytest.approx(hand.radius[at("index_tip")])
    assert np.linalg.norm(tip - distal) < np.linalg.norm(ours - distal)


def test_left_hands_are_mirror_images(posed):
    right, left = (to_openxr(posed("ok", s)[0], s == RIGHT, np.eye(3)) for s in (RIGHT, LEFT))
    np.testing.assert_allclose(left.position, right.position @ MIRROR, atol=1e-6)
    np.testing.assert_allclose(left.radius, right.radius, atol=1e-6)
    mirrored = MIRROR @ matrices(right.orientation) @ MIRROR
    np.testing.assert_allclose(matrices(left.orientation), mirrored, atol=1e-5)


def test_a_batch_in_the_camera_frame_turns_into_openxr_s_axes(posed):
    batch = np.stack([posed("open")[0], posed("fist")[0]]) + [0.1, 0.2, 0.5]
    hands, same = to_openxr(batch, np.array([True, True])), to_openxr(batch, True, np.eye(3))
    assert hands.position.shape == (2, 26, 3) and hands.orientation.shape == (2, 26, 4)
    np.testing.assert_allclose(hands.position, same.position * [1, -1, -1])
    np.testing.assert_allclose(
        matrices(hands.orientation), CAMERA_TO_OPENXR @ matrices(same.orientation), atol=1e-6
    )

"""teleop/openxr.py against "Conventions of hand joints" of XR_EXT_hand_tracking, on any pose.

+Z of a joint runs along its bone away from the fingertip, +Y out of the back of the hand or
finger, +X completes the right-handed frame, on both sides.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from handmesh_ros.hand.conventions import LEFT, MIRROR, RIGHT
from handmesh_ros.hand.rotations import matrices
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.teleop.openxr import INVENTED, OPENXR_JOINT_NAMES, to_openxr

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from handmesh_ros.hand.model import HandModel, mirror_rotations  # noqa: E402
from handmesh_ros.training.synthesis.poses import (  # noqa: E402
    rotations_from_angles,
    sample_pose,
)

TEMPLATE = HandTemplate.bundled()
MODEL = HandModel(TEMPLATE)
FINGERS = ("index", "middle", "ring", "little")
BONES = {
    "thumb": ("metacarpal", "proximal", "distal", "tip"),
    **dict.fromkeys(FINGERS, ("metacarpal", "proximal", "intermediate", "distal", "tip")),
}
BACK = np.array([0.0, 1.0, 0.0])
"""Out of the back of the hand in the model's frame; its palm is to −y, on both sides."""


def at(finger, bone):
    return OPENXR_JOINT_NAMES.index(f"{finger}_{bone}")


def posed(rotations, side, shape=None):
    """Returns keypoints (21, 3) and vertices (V, 3) of the model's hand, its wrist not turned."""
    is_right = torch.tensor([float(side)])
    rotations = mirror_rotations(torch.from_numpy(rotations.astype(np.float32))[None], is_right)
    shape = torch.zeros(1, 10) if shape is None else torch.from_numpy(shape.astype(np.float32))
    vertices, joints = MODEL(rotations, shape.reshape(1, 10), is_right)
    return joints[0].double().numpy(), vertices[0].double().numpy()


@st.composite
def hands(draw):
    """A pose and shape of the hand model, its side, and keypoints with vertices."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    side = draw(st.sampled_from([LEFT, RIGHT]))
    tips = TEMPLATE.template[TEMPLATE.fingertips]
    rotations = sample_pose(rng, TEMPLATE.joint_template, tips)
    return side, *posed(rotations, side, rng.normal(size=10).clip(-2, 2))


def openxr(joints, side):
    hand = to_openxr(joints, side == RIGHT, np.eye(3))
    return hand, matrices(hand.orientation)


def degrees_between(first, second):
    cosine = (first * second).sum(-1) / np.linalg.norm(first, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine / np.linalg.norm(second, axis=-1), -1, 1)))


@settings(deadline=None, max_examples=25)
@given(hands())
def test_z_runs_along_each_bone_away_from_the_fingertip(hand_of):
    side, joints, _ = hand_of
    hand, axes = openxr(joints, side)
    np.testing.assert_allclose(np.linalg.norm(hand.orientation, axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(axes), 1, atol=1e-5)
    for finger, bones in BONES.items():
        indices = [at(finger, bone) for bone in bones]
        for begin, end in zip(indices[:-1], indices[1:], strict=True):
            backward = hand.position[begin] - hand.position[end]
            assert degrees_between(axes[begin][:, 2], backward) < 0.1
        np.testing.assert_allclose(axes[indices[-1]][:, 2], axes[indices[-2]][:, 2], atol=1e-6)
    palm, wrist = OPENXR_JOINT_NAMES.index("palm"), OPENXR_JOINT_NAMES.index("wrist")
    metacarpal = hand.position[at("middle", "metacarpal")]
    along = metacarpal - hand.position[at("middle", "proximal")]
    assert degrees_between(axes[palm][:, 2], along) < 0.1
    assert degrees_between(axes[wrist][:, 2], hand.position[wrist] - metacarpal) < 0.1


@settings(deadline=None, max_examples=25)
@given(hands())
def test_y_of_palm_wrist_and_metacarpals_leaves_the_back_of_the_hand(hand_of):
    side, joints, _ = hand_of
    hand, axes = openxr(joints, side)
    still = ["palm", "wrist", *(f"{finger}_metacarpal" for finger in FINGERS)]
    for name in still:
        up = axes[OPENXR_JOINT_NAMES.index(name)][:, 1]
        assert degrees_between(up, BACK) < 30, name
        sideways = axes[OPENXR_JOINT_NAMES.index(name)][:, 0]
        to_thumb = hand.position[at("index", "proximal")] - hand.position[at("little", "proximal")]
        # Back up and fingers forward, +X is right: a right hand's thumb is on the left.
        assert ((sideways @ to_thumb) < 0) == (side == RIGHT), name


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from([LEFT, RIGHT]),
    st.sampled_from(FINGERS),
    st.floats(5, 70),
    st.floats(5, 85),
    st.floats(5, 60),
)
def test_fingers_bend_about_minus_x_by_the_angle_that_they_bend(
    side, finger, first, second, third
):
    """A joint's frame turned about its −X by the flexion is the next joint's, on both sides."""
    angles = np.zeros((5, 5))
    angles[1 + FINGERS.index(finger), 2:] = first, second, third
    bent = openxr(posed(rotations_from_angles(angles, TEMPLATE.joint_template), side)[0], side)[1]
    flat = openxr(posed(np.tile(np.eye(3), (16, 1, 1)), side)[0], side)[1]
    for bones, angle in (
        (("metacarpal", "proximal"), first),
        (("proximal", "intermediate"), second),
        (("intermediate", "distal"), third),
    ):
        before, after = (at(finger, bone) for bone in bones)
        in_parent = bent[before].T @ bent[after]
        at_rest = flat[before].T @ flat[after]
        turn = np.degrees(Rotation.from_matrix(in_parent @ at_rest.T).as_rotvec())
        assert turn[0] == pytest.approx(-angle, abs=3), bones
        assert np.abs(turn[1:]).max() < 18, bones


@settings(deadline=None, max_examples=25)
@given(hands())
def test_y_of_bent_fingers_stays_on_their_outer_side(hand_of):
    side, joints, _ = hand_of
    hand, axes = openxr(joints, side)
    for finger in FINGERS:
        indices = [at(finger, bone) for bone in BONES[finger][1:]]
        for before, after in zip(indices[:-1], indices[1:], strict=True):
            bend = np.degrees(Rotation.from_matrix(axes[before].T @ axes[after]).as_rotvec())
            assert bend[0] < 8, "fingers do not bend backward"
            assert np.abs(bend[1:]).max() < 35, "nor twist"
        inner = hand.position[at(finger, "tip")] - hand.position[at(finger, "proximal")]
        chord = -axes[indices[0]][:, 2]
        bent = degrees_between(inner, chord) > 10
        assert not bent or inner @ axes[indices[0]][:, 1] < 0, "the tip goes to the palmar side"


@settings(deadline=None, max_examples=25)
@given(hands(), st.floats(0.5, 2.0))
def test_radii_reach_the_skin_and_grow_with_the_hand(hand_of, factor):
    side, joints, _ = hand_of
    hand, axes = openxr(joints, side)
    larger = to_openxr(joints * factor, side == RIGHT, np.eye(3))
    np.testing.assert_allclose(larger.radius, hand.radius * factor, rtol=1e-6)
    tips = [at(finger, "tip") for finger in BONES]
    touched = hand.position[tips] - axes[tips][:, :, 2] * hand.radius[tips][:, None]
    np.testing.assert_allclose(touched, joints[[4, 8, 12, 16, 20]], atol=1e-6)
    assert (hand.radius > 0.002).all() and (hand.radius < 0.035).all()


@settings(deadline=None, max_examples=20)
@given(st.sampled_from([LEFT, RIGHT]), st.integers(0, 2**32 - 1))
def test_a_radius_is_half_the_thickness_of_the_finger(side, seed):
    shape = np.random.default_rng(seed).normal(size=10).clip(-2, 2)
    joints, vertices = posed(np.tile(np.eye(3), (16, 1, 1)), side, shape)
    hand, axes = openxr(joints, side)
    ratios = []
    for finger in FINGERS:
        for bone in ("intermediate", "distal"):
            index = at(finger, bone)
            across, up, along = ((vertices - hand.position[index]) @ axes[index]).T
            slice_up = up[(np.abs(across) < 0.008) & (np.abs(along) < 0.006)]
            ratios.append(np.ptp(slice_up) / 2 / hand.radius[index])
    assert 0.75 < np.median(ratios) < 1.35
    assert (np.abs(np.log(ratios)) < np.log(2)).all()


@settings(deadline=None, max_examples=25)
@given(hands(), st.integers(0, 2**32 - 1))
def test_moved_hands_are_moved_joints_and_mirror_images_stay_so(hand_of, seed):
    side, joints, _ = hand_of
    hand, axes = openxr(joints, side)
    turn = Rotation.random(random_state=seed).as_matrix()
    moved, moved_axes = openxr(joints @ turn.T + [0.1, -0.2, 0.7], side)
    np.testing.assert_allclose(moved.position, hand.position @ turn.T + [0.1, -0.2, 0.7])
    np.testing.assert_allclose(moved_axes, turn @ axes, atol=1e-6)
    other, other_axes = openxr(joints @ MIRROR, LEFT if side == RIGHT else RIGHT)
    np.testing.assert_allclose(other.position, hand.position @ MIRROR, atol=1e-9)
    np.testing.assert_allclose(other_axes, MIRROR @ axes @ MIRROR, atol=1e-6)


def test_invented_joints_are_valid_and_not_tracked():
    hand = to_openxr(posed(np.tile(np.eye(3), (16, 1, 1)), RIGHT)[0][None], True)
    names = np.array(OPENXR_JOINT_NAMES)
    assert set(names[INVENTED]) == {"palm", *(f"{finger}_metacarpal" for finger in FINGERS)}
    assert hand.valid.shape == hand.tracked.shape == (1, 26)
    assert hand.valid.all() and (hand.tracked[0] == ~INVENTED).all()
    lost = to_openxr(np.full((21, 3), np.nan), True)
    assert not lost.valid.any() and not lost.tracked.any()

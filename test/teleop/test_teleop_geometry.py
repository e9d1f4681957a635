import numpy as np
import pytest

from handmesh_ros.hand.conventions import (
    INDEX_TIP,
    KEYPOINT_FROM_MODEL_JOINT,
    LEFT,
    MIRROR,
    RIGHT,
    THUMB_TIP,
    operator_frame,
)
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.teleop.geometry import (
    approach_direction,
    bone_frames,
    palm_normal,
    pinch_aperture,
)

TEMPLATE = HandTemplate.bundled()
POSES = ("open", "relaxed", "fist", "pinch", "ok", "point", "grasp_power", "sign_c")


def degrees_between(a, b):
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_the_palm_normal_leaves_the_palm_where_the_fingers_close(posed, side):
    open_hand, closing = posed("open", side)[0], posed("grasp_power", side)[0]
    normal = palm_normal(open_hand, side == RIGHT)
    assert np.linalg.norm(normal) == pytest.approx(1.0)
    assert ((closing[[8, 12, 16, 20]] - open_hand[[8, 12, 16, 20]]) @ normal > 0.02).all()


def test_the_approach_runs_from_the_wrist_between_the_pinching_tips(posed):
    joints = posed("pinch")[0] + [0.3, 0.1, 0.6]
    approach, aperture = approach_direction(joints), pinch_aperture(joints)
    reached = joints[0] + approach * np.linalg.norm(joints[[4, 8]].mean(0) - joints[0])
    for tip in (THUMB_TIP, INDEX_TIP):
        assert np.linalg.norm(reached - joints[tip]) == pytest.approx(aperture / 2, abs=1e-6)
    assert not approach_direction(np.zeros((21, 3))).any()


def test_batches_and_single_hands_agree(posed):
    hands = np.stack([posed(name)[0] for name in POSES])
    for function in (pinch_aperture, approach_direction):
        np.testing.assert_allclose(function(hands)[2], function(hands[2]))
    frames = bone_frames(hands, np.ones(len(hands), bool))
    np.testing.assert_allclose(frames[2], bone_frames(hands[2], True))


@pytest.mark.parametrize("side", [LEFT, RIGHT])
@pytest.mark.parametrize("name", POSES)
def test_bone_frames_point_along_bones_and_out_of_the_palmar_side(posed, name, side):
    """The truth: how the hand model turns each bone, and the side to which it closes."""
    joints, _, world = posed(name, side)
    frames = bone_frames(joints, side == RIGHT)
    np.testing.assert_allclose(frames.swapaxes(-1, -2) @ frames, np.eye(3) + 0 * frames, atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(frames), 1.0)
    np.testing.assert_allclose(frames[0], operator_frame(joints, side == RIGHT))
    rest = TEMPLATE.joint_template
    for keypoint, joint in enumerate(KEYPOINT_FROM_MODEL_JOINT):
        if joint < 1:
            continue
        bone = joints[keypoint + 1] - joints[keypoint]
        assert degrees_between(frames[keypoint, :, 2], bone) < 0.1
        ends = np.flatnonzero(TEMPLATE.parents == joint)
        tip = TEMPLATE.template[TEMPLATE.fingertips[(keypoint - 1) // 4]]
        rest_bone = (rest[ends[0]] if len(ends) else tip) - rest[joint]
        palmar = np.cross(TEMPLATE.flexion_axes[joint - 1], rest_bone)
        palmar = palmar if side == RIGHT else MIRROR @ palmar
        limit = 30.0 if keypoint <= 4 else 20.0
        assert degrees_between(frames[keypoint, :, 0], world[joint] @ palmar) < limit, keypoint


def test_left_frames_are_the_mirror_images_of_right_ones(posed):
    right, left = (bone_frames(posed("pinch", side)[0], side == RIGHT) for side in (RIGHT, LEFT))
    np.testing.assert_allclose(left[..., [0, 2]], (MIRROR @ right)[..., [0, 2]], atol=1e-5)
    np.testing.assert_allclose(left[..., 1], -(MIRROR @ right)[..., 1], atol=1e-5)

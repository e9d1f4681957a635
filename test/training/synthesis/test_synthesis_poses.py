import numpy as np
import pytest

from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.training.synthesis.poses import (
    HIGH,
    LOW,
    PROTOTYPES,
    penetration,
    random_angles,
    rotations_from_angles,
    sample_pose,
)
from handmesh_ros.training.synthesis.surface import pose_hand

HAND = HandTemplate.bundled()
TIPS = HAND.template[HAND.fingertips]


def keypoints(name):
    rotations = rotations_from_angles(PROTOTYPES[name], HAND.joint_template)
    posed = pose_hand(HAND, rotations, np.zeros(10), True, np.zeros(3))
    return posed.keypoints(HAND.fingertips)


@pytest.mark.parametrize("name", PROTOTYPES)
def test_prototypes_are_rotations_within_the_limits(name):
    angles = PROTOTYPES[name]
    assert (angles >= LOW).all() and (angles <= HIGH).all()
    rotations = rotations_from_angles(angles, HAND.joint_template)
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (16, 1, 1)), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1)


def test_flexion_bends_towards_the_palm():
    tips = keypoints("fist")[[8, 12, 16, 20]]
    palm_side = -1
    assert (np.sign(tips[:, 1]) == palm_side).all()
    assert np.linalg.norm(tips, axis=1).max() < 0.11


def test_named_poses_are_what_they_say():
    ok, open_hand = keypoints("ok"), keypoints("open")
    assert np.linalg.norm(ok[4] - ok[8]) < 0.03 < np.linalg.norm(open_hand[4] - open_hand[8])
    point = keypoints("point")
    reach = np.linalg.norm(point[[8, 12, 16, 20]], axis=1)
    assert reach[0] > 0.16 and reach[1:].max() < 0.11
    victory = keypoints("victory")
    assert victory[8, 2] - victory[12, 2] > 0.03


def test_random_poses_stay_within_limits_and_differ():
    drawn = np.stack([random_angles(np.random.default_rng(i)) for i in range(200)])
    assert (drawn >= LOW).all() and (drawn <= HIGH).all()
    assert drawn[:, 1:, 2:].std(0).min() > 10


def test_fingers_rarely_run_through_each_other():
    rng = np.random.default_rng(0)
    depth = [
        penetration(sample_pose(rng, HAND.joint_template, TIPS), HAND.joint_template, TIPS)
        for _ in range(60)
    ]
    assert np.mean(np.array(depth) < 0.004) > 0.9


def test_crossing_fingers_are_noticed():
    angles = PROTOTYPES["flat"].copy()
    angles[1, 0] = -30
    rotations = rotations_from_angles(angles, HAND.joint_template)
    assert penetration(rotations, HAND.joint_template, TIPS) > 0.004

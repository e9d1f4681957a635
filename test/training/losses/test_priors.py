import numpy as np
import pytest
import torch
from batches import random_hands

from handmesh_ros.hand.model import axis_angle_to_matrix
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.training.losses.priors import (
    joint_angles,
    joint_frames,
    joint_limits,
    keypoint_consistency,
)
from handmesh_ros.training.synthesis.poses import random_angles, rotations_from_angles

TEMPLATE = HandTemplate.bundled()
FRAMES = joint_frames(TEMPLATE)
INDEX_MCP, MIDDLE_PIP, LITTLE_MCP, THUMB_IP = 0, 4, 6, 14


def bent(joint, degrees, axis=2):
    """The flat hand with one of the 15 joints turned about an axis of its frame."""
    pose = torch.zeros(1, 16, 3)
    pose[0, joint + 1] = np.deg2rad(degrees) * FRAMES[joint, :, axis]
    return axis_angle_to_matrix(pose)


@pytest.mark.parametrize("joint", [INDEX_MCP, MIDDLE_PIP, THUMB_IP])
def test_pitch_closes_the_joint(joint):
    angles = joint_angles(bent(joint, 40), FRAMES)[0, joint]
    np.testing.assert_allclose(np.rad2deg(angles.numpy()), [0, 0, 40], atol=0.05)


def test_possible_hands_cost_nothing():
    assert joint_limits(bent(0, 0), FRAMES) == 0
    for joint, degrees in ((INDEX_MCP, 90), (MIDDLE_PIP, 105), (LITTLE_MCP, 80), (THUMB_IP, 70)):
        assert joint_limits(bent(joint, degrees), FRAMES) == 0


def test_the_pose_generator_stays_within_the_limits():
    rng = np.random.default_rng(0)
    poses = [rotations_from_angles(random_angles(rng), TEMPLATE.joint_template) for _ in range(60)]
    cost = joint_limits(torch.from_numpy(np.stack(poses)).float(), FRAMES)
    assert cost < np.deg2rad(0.2), "a mean of the 45 angles"


@pytest.mark.parametrize(
    "joint, degrees, axis",
    [(INDEX_MCP, -40, 2), (MIDDLE_PIP, 150, 2), (MIDDLE_PIP, 30, 1), (THUMB_IP, 60, 0)],
)
def test_impossible_hands_cost_and_are_pulled_back(joint, degrees, axis):
    rotations = bent(joint, degrees, axis).requires_grad_(True)
    cost = joint_limits(rotations, FRAMES)
    assert cost > 0
    (gradient,) = torch.autograd.grad(cost, rotations)
    assert torch.isfinite(gradient).all()
    assert gradient[0, joint + 1].abs().max() > 0
    others = [j for j in range(16) if j != joint + 1]
    assert not gradient[0, others].any(), "only the joint in question moves"
    assert joint_limits(bent(joint, 0.8 * degrees, axis), FRAMES) < cost


def test_a_hand_model_without_axes_bends_about_z():
    plain = joint_frames(
        HandTemplate(**{**TEMPLATE.__dict__, "flexion_axes": np.zeros(0, np.float32)})
    )
    np.testing.assert_allclose(plain[:, :, 2], np.tile([0, 0, 1], (15, 1)))
    np.testing.assert_allclose(torch.linalg.det(plain), np.ones(15), rtol=1e-5)


def test_consistency_moves_the_mesh_and_not_the_2d_head():
    keypoints = random_hands(3, 128)["keypoints_2d"].clone().requires_grad_(True)
    size = torch.full((3,), 60.0)
    assert keypoint_consistency(keypoints, keypoints.detach(), size) == 0
    projected = (keypoints.detach() + 6).requires_grad_(True)
    cost = keypoint_consistency(keypoints, projected, size)
    torch.testing.assert_close(cost, torch.tensor(0.1))
    cost.backward()
    assert keypoints.grad is None and (projected.grad > 0).all()


def test_no_hands_cost_nothing():
    assert joint_limits(torch.zeros(0, 16, 3, 3), FRAMES) == 0
    empty = torch.zeros(0, 21, 2)
    assert keypoint_consistency(empty, empty, torch.zeros(0)) == 0

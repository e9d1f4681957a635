import pytest
import torch

from handmesh_ros.hand.model import HandModel, axis_angle_to_matrix
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.lifting import NUMBERS, PoseLifter, rotations_of
from handmesh_ros.training.losses.lifting import lifting_loss, see_hands
from handmesh_ros.training.losses.supervised import LossWeights

COUNT = 200


@pytest.fixture
def lifter():
    torch.manual_seed(0)
    return PoseLifter(4, 64, HandModel(HandTemplate.bundled()))


@pytest.fixture(scope="module")
def poses():
    generator = torch.Generator().manual_seed(5)
    return axis_angle_to_matrix(0.4 * torch.randn(7, 16, 3, generator=generator))


def seen(lifter, poses, seed=1):
    return see_hands(lifter, poses, COUNT, torch.Generator().manual_seed(seed))


def test_the_truth_is_seen_where_it_is_said_to_be(lifter, poses):
    """Numbers, distance and wrist describe the very hands that the keypoints come from."""
    hands = seen(lifter, poses)
    there = lifter.seen_at(hands.truth, hands.spread)
    assert hands.truth.shape == hands.guess.shape == (COUNT, NUMBERS)
    torch.testing.assert_close(there, hands.true_seen, atol=1e-4, rtol=1e-3)


def test_found_keypoints_start_at_the_wrist_and_are_as_noisy_as_the_networks(lifter, poses):
    hands = seen(lifter, poses)
    assert hands.seen[:, 0].abs().max() < 1e-6
    error = (hands.seen - hands.true_seen).norm(dim=2).mean(1)
    assert 0.02 < error.median() < 0.1
    assert error.max() > 2 * error.median()


def test_the_wrists_are_turned_every_way(lifter, poses):
    wrists = rotations_of(seen(lifter, poses).truth)[:, 0]
    assert wrists.mean(0).abs().max() < 0.2
    torch.testing.assert_close(torch.det(wrists), torch.ones(COUNT))


def test_fingers_are_those_of_the_given_poses(lifter, poses):
    hands = seen(lifter, poses)
    index = rotations_of(hands.truth)[:, 1]
    distance = (index[:, None] - poses[None, :, 1]).abs().amax((2, 3)).amin(1)
    assert distance.max() < 1e-4


def test_same_draws_same_hands(lifter, poses):
    for first, second in zip(seen(lifter, poses), seen(lifter, poses), strict=True):
        assert torch.equal(first, second)


def test_the_loss_is_zero_at_the_truth_and_positive_at_the_guess(lifter, poses):
    hands = seen(lifter, poses)
    weights = LossWeights()
    assert lifting_loss(lifter, hands._replace(guess=hands.truth), weights).item() < 1e-3
    assert lifting_loss(lifter, hands, weights).item() > 1


def test_it_learns_to_bring_hands_to_their_keypoints(lifter, poses):
    weights, draws = LossWeights(), torch.Generator().manual_seed(2)
    optimiser = torch.optim.Adam(lifter.parameters(), 3e-3)
    test = seen(lifter, poses, seed=9)
    before = lifting_loss(lifter, test, weights).item()
    for _ in range(40):
        optimiser.zero_grad()
        lifting_loss(lifter, see_hands(lifter, poses, 64, draws), weights).backward()
        optimiser.step()
    assert lifting_loss(lifter, test, weights).item() < 0.7 * before

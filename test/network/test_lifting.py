import pytest
import torch

from handmesh_ros.hand.model import HandModel, axis_angle_to_matrix
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.heads import HandParameters
from handmesh_ros.network.lifting import SIZE, WRIST, PoseLifter
from handmesh_ros.network.placement import place, project

FEATURES = 8


@pytest.fixture(scope="module")
def hand_model():
    return HandModel(HandTemplate.bundled())


def seen_hands(hand_model, count=12, spoil=0.0):
    """Hands of both sides anywhere in an image, with the keypoints that they really have."""
    torch.manual_seed(3)
    intrinsics = torch.tensor([[260.0, 250.0, 130.0, 126.0]]).expand(count, 4)
    rotations = axis_angle_to_matrix(torch.randn(count, 16, 3) * 0.4)
    wrist = 20 + 210 * torch.rand(count, 2)
    parameters = HandParameters(
        coarse_keypoints=torch.zeros(count, 21, 2),
        keypoints=torch.zeros(count, 21, 2),
        side_logit=torch.zeros(count),
        palm_logit=torch.zeros(count),
        turn_logit=torch.zeros(count),
        is_right=(torch.arange(count) % 2).float(),
        rotations=rotations,
        shape=torch.randn(count, 10) * 0.5,
        scale=torch.linspace(200, 900, count),
        wrist=wrist,
        colors=torch.zeros(count, 778, 3),
        features=torch.randn(count, FEATURES),
    )
    hands = place(parameters, parameters.is_right, intrinsics, hand_model)
    return parameters._replace(keypoints=project(hands.joints, intrinsics)), intrinsics


def test_a_fresh_lifter_changes_nothing(hand_model):
    guess, intrinsics = seen_hands(hand_model)
    found = PoseLifter(FEATURES, 16, hand_model)(guess, intrinsics)
    for name, values in guess._asdict().items():
        torch.testing.assert_close(getattr(found, name), values, rtol=1e-4, atol=1e-4)


def test_true_hands_are_seen_at_their_keypoints(hand_model):
    """The virtual camera, mirroring and scale agree with `place` and `project`."""
    guess, intrinsics = seen_hands(hand_model)
    lifter = PoseLifter(FEATURES, 16, hand_model)
    offsets = []
    correct = lifter.correct

    def spy(seen, spread, numbers, features):
        offsets.append(seen - lifter.seen_at(numbers, spread))
        return correct(seen, spread, numbers, features)

    lifter.correct = spy
    lifter(guess, intrinsics)
    assert offsets[0].abs().max() < 1e-4


def test_a_change_of_size_and_wrist_arrives_in_the_image(hand_model):
    guess, intrinsics = seen_hands(hand_model)
    lifter = PoseLifter(FEATURES, 16, hand_model, rounds=1)
    with torch.no_grad():
        lifter.change.bias[SIZE] = 0.1
        lifter.change.bias[WRIST] = torch.tensor([0.05, 0.0])  # to the right, in spreads
    found = lifter(guess, intrinsics)
    torch.testing.assert_close(found.scale, guess.scale * 1.1052, rtol=1e-3, atol=0)
    moved = (found.wrist - guess.wrist)[:, 0] * (2 * guess.is_right - 1)
    assert (moved > 0).all(), "left hands are mirrored"
    torch.testing.assert_close(found.rotations, guess.rotations, rtol=1e-4, atol=1e-4)


def test_no_gradient_goes_into_the_keypoints_but_into_the_guess(hand_model):
    guess, intrinsics = seen_hands(hand_model)
    keypoints = guess.keypoints.clone().requires_grad_()
    shape = guess.shape.clone().requires_grad_()
    lifter = PoseLifter(FEATURES, 16, hand_model)
    found = lifter(guess._replace(keypoints=keypoints, shape=shape), intrinsics)
    (found.rotations.sum() + found.shape.sum() + found.scale.sum()).backward()
    assert keypoints.grad is None and shape.grad is not None

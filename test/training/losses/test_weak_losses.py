import cv2
import numpy as np
import pytest
import torch
from batches import FOCAL, random_hands

from handmesh_ros.hand.model import HandModel, mirror_rotations
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.heads import HandParameters
from handmesh_ros.network.placement import place, project, ray_rotation
from handmesh_ros.training.losses.supervised import LossWeights
from handmesh_ros.training.losses.weak import WeakLosses

SIZE = 128
TEMPLATE = HandTemplate.bundled()
ALL = LossWeights(joint_limits=1, consistency=1, photometric=1, silhouette=1)


@pytest.fixture(scope="module")
def model():
    return HandModel(TEMPLATE)


@pytest.fixture(scope="module")
def scene(model):
    """Two hands painted in one flat colour each, in images of their own, and their truth."""
    truth = random_hands(2, SIZE, seed=5)
    ray = (truth["keypoints_2d"][:, 0] - SIZE / 2) / FOCAL
    rotations = truth["rotations"].clone()
    rotations[:, 0] = ray_rotation(ray).transpose(1, 2) @ rotations[:, 0]
    rotations[:, 1:] = torch.eye(3)  # a flat hand is within the joints' limits
    found = HandParameters(
        coarse_keypoints=truth["keypoints_2d"],
        keypoints=truth["keypoints_2d"],
        side_logit=torch.zeros(2),
        palm_logit=torch.zeros(2),
        turn_logit=torch.zeros(2),
        is_right=truth["is_right"].float(),
        rotations=mirror_rotations(rotations, truth["is_right"]),
        shape=truth["shape"],
        scale=FOCAL / truth["translation"][:, 2],
        wrist=truth["keypoints_2d"][:, 0],
        colors=torch.tensor([[[0.8, 0.6, 0.5]], [[0.4, 0.3, 0.2]]]).expand(2, 778, 3),
        features=torch.zeros(2, 1),
    )
    hands = place(found, truth["is_right"].float(), truth["hand_intrinsics"], model)
    points = project(hands.vertices, truth["hand_intrinsics"])
    keypoints = project(hands.joints, truth["hand_intrinsics"])
    image = np.full((2, SIZE, SIZE, 3), 30, np.uint8)
    mask = np.zeros((2, SIZE, SIZE), np.uint8)
    colours = (found.colors[:, 0] * 255).round().tolist()
    for hand in range(2):
        for corners in points[hand][TEMPLATE.faces.astype(int)].round().numpy().astype(np.int32):
            cv2.fillConvexPoly(mask[hand], corners, hand + 1)
        image[hand][cv2.dilate(mask[hand], np.ones((3, 3))) > 0] = colours[hand]
    truth = dict(
        truth,
        keypoints_2d=keypoints,
        box=torch.cat([points.amin(1), points.amax(1)], dim=1),
        mask_value=torch.tensor([1, 2], dtype=torch.uint8),
    )
    return truth, found._replace(keypoints=keypoints), torch.tensor(image), torch.tensor(mask)


def losses_of(found, scene, model, weights=ALL, mask=None):
    truth, _, image, own_mask = scene
    hands = place(found, truth["is_right"].float(), truth["hand_intrinsics"], model)
    weak = WeakLosses(TEMPLATE, weights)
    return weak(found, hands, truth, image, own_mask if mask is None else mask, torch.arange(2))


def test_weak_losses_are_zero_at_the_truth(scene, model):
    for name, value in losses_of(scene[1], scene, model).items():
        assert value.item() < 1e-3, name


@pytest.mark.parametrize(
    "field, loss",
    [
        ("rotations", "joint_limits"),
        ("scale", "consistency"),
        ("colors", "photometric"),
        ("wrist", "silhouette"),
    ],
)
def test_a_weak_loss_is_positive_off_the_truth_and_pulls_back(scene, model, field, loss):
    found = scene[1]
    value = getattr(found, field)
    if field == "rotations":
        wrong = value.clone()
        wrong[:, 1:] = wrong[:, 1:] @ torch.tensor([[-1.0, 0, 0], [0, -1, 0], [0, 0, 1]])
    elif field == "colors":
        # One patch of another colour: a change of the whole hand could be the light.
        wrong = value.clone()
        wrong[:, ::3] = 1 - wrong[:, ::3]
    else:
        wrong = value * 1.4
    wrong = wrong.detach().requires_grad_(True)
    losses = losses_of(found._replace(**{field: wrong}), scene, model)
    assert losses[loss].item() > 3e-3
    gradient = torch.autograd.grad(losses[loss], wrong)[0]
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


def test_a_loss_of_no_weight_is_not_computed(scene, model):
    off = LossWeights(joint_limits=0, consistency=0, photometric=0, silhouette=0)
    wrong = scene[1]._replace(wrist=scene[1].wrist + 40, colors=1 - scene[1].colors)
    losses = losses_of(wrong, scene, model, off)
    assert all(value.item() == 0 for value in losses.values())


def test_without_a_mask_the_outline_costs_nothing_and_colours_still_count(scene, model):
    truth, found, image, mask = scene
    unknown = (dict(truth, mask_value=torch.zeros(2, dtype=torch.uint8)), found, image, mask * 0)
    wrong = found._replace(wrist=found.wrist * 1.4)
    assert losses_of(wrong, unknown, model)["silhouette"].item() == 0
    colors = found.colors.clone()
    colors[:, ::3] = 1 - colors[:, ::3]
    assert losses_of(found._replace(colors=colors), unknown, model)["photometric"] > 3e-3

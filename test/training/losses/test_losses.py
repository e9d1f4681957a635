import pytest
import torch
from batches import FOCAL, random_batch, random_hands

from handmesh_ros.hand.model import HandModel, mirror_rotations
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.heads import HandBoxes, HandParameters, palm_turn
from handmesh_ros.network.placement import place, ray_rotation
from handmesh_ros.training.losses.supervised import (
    LossWeights,
    box_ious,
    box_losses,
    centre_targets,
    empty_places,
    focal_loss,
    gaussian_sigma,
    hand_centres,
    hand_losses,
    keypoint_targets,
    total_loss,
)

SIZE = 192


@pytest.fixture(scope="module")
def model():
    return HandModel(HandTemplate.bundled())


@pytest.fixture(scope="module")
def truth():
    hands = random_hands(4, SIZE)
    return dict(hands, colors=hands["colors"].float() / 255)


def perfect(truth):
    """What the heads would have to say for these hands."""
    ray = (truth["keypoints_2d"][:, 0] - SIZE / 2) / FOCAL
    rotations = truth["rotations"].clone()
    rotations[:, 0] = ray_rotation(ray).transpose(1, 2) @ rotations[:, 0]
    return HandParameters(
        coarse_keypoints=truth["keypoints_2d"].clone(),
        keypoints=truth["keypoints_2d"].clone(),
        side_logit=20 * (2 * truth["is_right"].float() - 1),
        palm_logit=torch.where(
            (palm_turn(truth["keypoints_2d"]) > 0) == truth["is_right"], 20.0, -20.0
        ),
        turn_logit=20 * torch.sign(palm_turn(truth["keypoints_2d"])),
        is_right=truth["is_right"].float(),
        rotations=mirror_rotations(rotations, truth["is_right"]),
        shape=truth["shape"].clone(),
        scale=FOCAL / truth["translation"][:, 2],
        wrist=truth["keypoints_2d"][:, 0].clone(),
        colors=truth["colors"].clone(),
        features=torch.zeros(len(rotations), 1),
    )


def perfect_boxes(truth):
    box = truth["box"]
    return HandBoxes(
        size=(box[:, 2:] - box[:, :2]).amax(1),
        coarse_box=box.clone(),
        box=box.clone(),
        quality_logit=torch.full((len(box),), 20.0),
    )


def losses_of(found, truth, model):
    hands = place(found, truth["is_right"].float(), truth["hand_intrinsics"], model)
    true_vertices = truth["vertices"] - truth["translation"][:, None]
    return hand_losses(found, found, hands, truth, true_vertices)


def test_losses_are_zero_at_the_truth(truth, model):
    losses = losses_of(perfect(truth), truth, model)
    for name, value in losses.items():
        if name != "shape_prior":
            assert value.item() < 2e-4, name


@pytest.mark.parametrize(
    "field, loss",
    [
        ("side_logit", "side"),
        ("palm_logit", "palm"),
        ("turn_logit", "turn"),
        ("coarse_keypoints", "coarse_keypoints"),
        ("keypoints", "keypoints"),
        ("rotations", "rotations"),
        ("rotations", "joints"),
        ("rotations", "vertices"),
        ("rotations", "bone_direction"),
        ("shape", "shape"),
        ("shape", "shape_prior"),
        ("scale", "depth"),
        ("wrist", "reprojection"),
        ("colors", "colors"),
    ],
)
def test_a_loss_is_positive_off_the_truth_and_pulls_back(truth, model, field, loss):
    found = perfect(truth)
    value = getattr(found, field)
    if field == "rotations":
        wrong = torch.roll(value, 1, dims=0).clone()
    elif field in ("side_logit", "palm_logit", "turn_logit"):
        wrong = -value
    else:
        wrong = value * 1.1 + 0.05
    wrong.requires_grad_(True)
    found = found._replace(**{field: wrong})
    losses = losses_of(found, truth, model)
    assert losses[loss].item() > 1e-4
    gradient = torch.autograd.grad(losses[loss], wrong)[0]
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


NOWHERE = torch.full((3,), -20.0)


def test_box_losses_are_zero_at_the_truth(truth):
    for name, value in box_losses(perfect_boxes(truth), truth, NOWHERE).items():
        assert value.item() < 2e-4, name


@pytest.mark.parametrize(
    "field, loss",
    [
        ("size", "size"),
        ("coarse_box", "coarse_box"),
        ("box", "box"),
        ("quality_logit", "quality"),
    ],
)
def test_a_box_loss_is_positive_off_the_truth_and_pulls_back(truth, field, loss):
    found = perfect_boxes(truth)
    value = getattr(found, field)
    wrong = (-value if field == "quality_logit" else value * 1.1 + 0.05).requires_grad_(True)
    losses = box_losses(found._replace(**{field: wrong}), truth, NOWHERE)
    assert losses[loss].item() > 1e-4
    gradient = torch.autograd.grad(losses[loss], wrong)[0]
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


def test_a_poor_box_is_to_be_called_poor_and_an_empty_place_bad(truth):
    found = perfect_boxes(truth)
    shifted = found.box + (found.box[:, 2:] - found.box[:, :2]).repeat(1, 2)  # no overlap
    assert box_losses(found._replace(box=shifted), truth, NOWHERE)["quality"] > 10
    assert box_losses(found, truth, -NOWHERE)["quality"] > 10


def test_empty_places_are_the_likeliest_outside_all_boxes():
    heatmaps = torch.zeros(1, 2, 8, 8)
    heatmaps[0, 0, 2, 2] = 0.9  # in the hand's box
    heatmaps[0, 1, 6, 1] = 0.5
    heatmaps[0, 0, 1, 6] = 0.3
    heatmaps[0, 0, 1, 7] = 0.2  # beside a higher one
    batch = {
        "valid": torch.tensor([[True, False]]),
        "box": torch.tensor([[[8.0, 8.0, 40.0, 40.0], [0.0, 0.0, 64.0, 64.0]]]),
    }
    image, centre = empty_places(heatmaps, batch, 8, 4)
    assert image.tolist() == [0, 0]
    assert centre.tolist() == [[11.5, 51.5], [51.5, 11.5]]


def test_hands_without_3d_labels_do_not_feel_3d_losses(truth, model):
    found = perfect(truth)
    found = found._replace(
        rotations=torch.roll(found.rotations, 1, dims=0),
        shape=found.shape + 1,
        scale=found.scale * 2,
    )
    flat = dict(truth, has_3d=torch.zeros_like(truth["has_3d"]))
    losses = losses_of(found, flat, model)
    for name in ("rotations", "guess", "shape", "joints", "vertices", "depth", "colors"):
        assert losses[name].item() == 0.0
    assert losses["reprojection"].item() > 0


def test_colours_that_are_not_known_are_not_learnt(truth, model):
    found = perfect(truth)
    black = dict(truth, colors=torch.zeros_like(truth["colors"]))
    assert losses_of(found, black, model)["colors"].item() == 0.0
    assert losses_of(found._replace(colors=found.colors * 0.5), truth, model)["colors"] > 0


def test_total_loss_weighs_every_term():
    names = [name for name in LossWeights.__dataclass_fields__]
    losses = {name: torch.tensor(1.0) for name in names}
    weights = LossWeights()
    expected = sum(getattr(weights, name) for name in names)
    assert total_loss(losses, weights).item() == pytest.approx(expected)


def test_centre_targets_peak_at_the_centre_of_the_right_side():
    batch = random_batch(3, 2, SIZE)
    target, weight, trained = centre_targets(batch, SIZE // 8, SIZE // 8, 8)
    centre, inside = hand_centres(batch["keypoints_2d"], SIZE, SIZE)
    assert bool((trained == inside).all())
    for image, hand in trained.nonzero().tolist():
        x, y = ((centre[image, hand] + 0.5) / 8).floor().long().tolist()
        side = int(batch["is_right"][image, hand])
        assert target[image, side, y, x] == 1
    assert target.max() <= 1 and weight.min() >= 0


def test_keypoint_targets_show_visible_keypoints_only():
    batch = random_batch(1, 1, SIZE)
    trained = torch.ones(1, 1, dtype=torch.bool)
    batch["keypoints_visible"][0, 0, 5] = False
    target = keypoint_targets(batch, trained, SIZE // 8, SIZE // 8, 8)
    assert target[0, 5].max() == 0
    x, y = ((batch["keypoints_2d"][0, 0, 9] + 0.5) / 8).floor().long().tolist()
    assert target[0, 9, y, x] == 1
    assert keypoint_targets(batch, ~trained, SIZE // 8, SIZE // 8, 8).max() == 0


def test_ignored_hands_are_neither_wanted_nor_forbidden():
    batch = random_batch(1, 1, SIZE)
    batch["ignore"][:] = True
    target, weight, trained = centre_targets(batch, SIZE // 8, SIZE // 8, 8)
    assert target.max() < 1 and not trained.any()
    assert weight.min() == 0
    logits = torch.where(weight == 0, 9.0, -9.0).expand(-1, 2, -1, -1)
    assert focal_loss(logits, torch.zeros_like(target), weight).item() < 1e-3


def test_focal_loss_prefers_the_truth():
    batch = random_batch(2, 2, SIZE)
    target, weight, _ = centre_targets(batch, SIZE // 8, SIZE // 8, 8)
    right = torch.logit(target.clamp(1e-4, 1 - 1e-4))
    assert focal_loss(right, target, weight) < focal_loss(torch.zeros_like(right), target, weight)
    assert focal_loss(right.flip(1), target, weight) > 5 * focal_loss(right, target, weight)


def test_keypoints_outside_do_not_move_the_centre():
    points = torch.tensor([[10.0, 20.0], [20.0, 40.0], [1e6, 5.0]])[None]
    centre, inside = hand_centres(points, 64, 64)
    assert centre.tolist() == [[15.0, 30.0]] and bool(inside)
    _, inside = hand_centres(points + 1e5, 64, 64)
    assert not bool(inside)


def test_gaussian_sigma_grows_with_the_box():
    boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 10, 10], [0, 0, 20, 20]])
    sigma = gaussian_sigma(boxes)
    assert (sigma[1:] > sigma[:-1]).all()


def test_box_ious_known_values():
    box = torch.tensor([[0.0, 0, 2, 2]])
    for other, iou, generalised in (
        ([0.0, 0, 2, 2], 1, 1),
        ([1.0, 0, 3, 2], 1 / 3, 1 / 3),
        ([2.0, 0, 4, 2], 0, 0),
        ([6.0, 0, 8, 2], 0, -0.5),
    ):
        found = box_ious(box, torch.tensor([other]))
        assert [value.item() for value in found] == pytest.approx([iou, generalised])

import pytest
import torch

from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.heads import HAND_LENGTH
from handmesh_ros.network.lifting import NUMBERS, ROTATIONS, SHAPE, SIZE, WRIST
from handmesh_ros.network.refinement import CROP_SIDE, CropPose
from handmesh_ros.training.losses.priors import joint_frames
from handmesh_ros.training.refinement.data import camera_of, reading_of, to_batch
from handmesh_ros.training.refinement.losses import (
    RefinementWeights,
    refinement_losses,
    total,
    trusted,
)
from handmesh_ros.training.refinement.truth import truth_of


@pytest.fixture
def case(features, published):
    batch = to_batch(features)
    camera = camera_of(batch)
    truth = truth_of(batch, camera)
    read = reading_of(batch)
    landmarks = read.landmarks.clone()
    landmarks[..., :2] = truth.keypoints
    return published, read._replace(landmarks=landmarks), camera, truth


def perfect(read, camera, truth):
    """The pose that is the truth, sure of everything."""
    middle = truth.seen.mean(1)
    spread = 2 * ((truth.seen - middle[:, None]) ** 2).sum(-1).mean(1, keepdim=True).sqrt()
    numbers = torch.zeros(len(middle), NUMBERS)
    numbers[:, ROTATIONS] = truth.rotations[..., :2].transpose(-1, -2).reshape(-1, 96)
    numbers[:, SHAPE] = truth.shape
    size = camera.focal * HAND_LENGTH / (truth.depth[:, None] * spread)
    numbers[:, SIZE] = torch.log(size)
    numbers[:, WRIST] = (truth.seen[:, 0] - middle) / spread
    sure = 60.0
    return CropPose(
        keypoints=truth.keypoints,
        side_logit=sure * (2 * truth.is_right - 1),
        presence_logit=sure * (2 * truth.is_hand - 1),
        visible_logits=sure * (2 * truth.visible - 1),
        trust_logits=sure * (2 * trusted(read, truth) - 1),
        is_right=truth.is_right,
        rounds=[numbers, numbers],
        middle=middle,
        spread=spread,
    )


def losses_of(case, change=lambda found: found, colors=None):
    network, read, camera, truth = case
    found = change(perfect(read, camera, truth))
    frames = joint_frames(HandTemplate.bundled())
    colors = truth.colors if colors is None else colors
    return refinement_losses(network, read, found, colors, camera, truth, frames)


def test_losses_are_zero_at_the_truth(case):
    losses = losses_of(case)
    losses.pop("joint_limits")  # random hands bend as no hand can
    for name, value in losses.items():
        assert value.item() == pytest.approx(0, abs=2e-3), name


@pytest.mark.parametrize(
    ("field", "amount", "name"),
    [
        ("keypoints", 10.0, "keypoints"),
        ("side_logit", None, "side"),
        ("presence_logit", None, "presence"),
        ("visible_logits", None, "visible"),
        ("trust_logits", None, "trust"),
    ],
)
def test_what_is_wrong_costs(case, field, amount, name):
    def spoil(found):
        values = getattr(found, field)
        return found._replace(**{field: -values if amount is None else values + amount})

    losses = losses_of(case, spoil)
    assert losses[name] > 0.1
    assert losses["rotations"] < 1e-3


@pytest.mark.parametrize(
    ("part", "names"),
    [
        (ROTATIONS, ("rotations", "joints", "vertices", "reprojection")),
        (SHAPE, ("shape", "joints", "vertices")),
        (SIZE, ("size", "reprojection")),
        (WRIST, ("reprojection",)),
    ],
)
def test_each_number_has_its_losses(case, part, names):
    def spoil(found):
        numbers = found.rounds[-1].clone()
        numbers[:, part] += 0.3
        return found._replace(rounds=[found.rounds[0], numbers])

    losses = losses_of(case, spoil)
    assert all(losses[name] > 0.01 for name in names)


def test_landmarks_are_trusted_up_to_a_tenth_of_the_hand(case):
    _, read, _, truth = case
    assert trusted(read, truth).all()
    landmarks = read.landmarks.clone()
    landmarks[:, 3, 0] += 0.11 * truth.size
    landmarks[:, 4, 0] += 0.09 * truth.size
    found = trusted(read._replace(landmarks=landmarks), truth)
    assert not found[:, 3].any()
    assert found[:, 4].all()


def test_crops_without_a_hand_teach_presence_alone(case):
    network, read, camera, truth = case
    nothing = torch.zeros_like(truth.is_hand)
    empty = truth._replace(is_hand=nothing, has_3d=nothing)
    found = perfect(read, camera, truth)
    frames = joint_frames(HandTemplate.bundled())
    colors = torch.rand_like(truth.colors)
    losses = refinement_losses(network, read, found, colors, camera, empty, frames)
    losses.pop("joint_limits")
    assert {name for name, value in losses.items() if value > 1e-6} == {"presence"}


def test_the_total_is_weighted(case):
    losses = {name: torch.tensor(1.0) for name in vars(RefinementWeights())}
    only = RefinementWeights(**{name: 0.0 for name in losses} | {"trust": 3.0})
    assert total(losses, only) == 3


def test_hands_are_at_least_a_tenth_of_the_crop(case):
    assert (case[3].size >= 0.1 * CROP_SIDE).all()

"""What the network is trained on: dense centre targets and the losses of single hands.

Every loss is zero at the truth. Image distances are divided by the hand's size in the image and
lengths are in decimetres, so that small and large hands count alike and terms are of one order.

Shapes: B images, M padded hands per image, N hands that take part (a flat list), C channels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from handmesh_ros.hand.conventions import SKELETON
from handmesh_ros.network.heads import HandBoxes, HandParameters, palm_turn
from handmesh_ros.network.placement import HandGeometry, camera_rotations, project
from handmesh_ros.training.ranges import Weight

_DECIMETRES = 10.0

CLEAR_TURN = 0.15
"""`palm_turn` from which on a hand clearly shows its palm or its back."""


@dataclass(frozen=True)
class LossWeights:
    """Weight of each loss; a weight of 0 switches it off.

    Args:
        centre: focal loss of the two centre heatmaps.
        keypoint_heatmaps: focal loss of 21 keypoint heatmaps that only training sees.
        size: of the box's longer side, absolute difference of logarithms.
        coarse_box: L1 of the corners of the box found from the centre, and one minus
            generalised IoU.
        box: the same of the refined box.
        quality: cross entropy of the box's quality against its IoU, against 0 for places where
            there is no hand.
        side: cross entropy of the side.
        palm: cross entropy of the face that is seen, where it is seen clearly.
        turn: cross entropy of the way round that the knuckles lie, where it is clear.
        coarse_keypoints: L1 of the keypoints read at the centre.
        keypoints: L1 of the refined keypoints.
        reprojection: L1 of the projected 3D joints against the labelled keypoints.
        bone_direction: squared difference of unit 2D bone vectors.
        rotations: L1 of rotation matrices (only with 3D labels).
        guess: the same of the first guess, before the lifter.
        shape: L1 of shape coefficients (only with 3D labels).
        joints: L1 of wrist-relative joints (only with 3D labels).
        vertices: L1 of wrist-relative vertices (only with 3D labels).
        depth: absolute difference of logarithms of the wrist's depth (only with 3D labels).
        colors: L1 of vertex colours (only with 3D labels).
        shape_prior: mean squared shape coefficient.
        joint_limits: radians beyond what finger joints can do.
        consistency: L1 of the projected 3D joints against the 2D keypoints found.
        photometric: squared difference of lit vertex colours and the image, where skin is seen.
        silhouette: how far the mesh and the hand's mask stand out of each other.
        lifting: weighted loss of the lifter on posed hands without an image.
    """

    centre: Weight = 1.0
    keypoint_heatmaps: Weight = 1.0
    size: Weight = 0.5
    coarse_box: Weight = 0.5
    box: Weight = 2.0
    quality: Weight = 1.0
    side: Weight = 2.0
    palm: Weight = 2.0
    turn: Weight = 2.0
    coarse_keypoints: Weight = 2.0
    keypoints: Weight = 5.0
    reprojection: Weight = 4.0
    bone_direction: Weight = 0.5
    rotations: Weight = 2.0
    guess: Weight = 1.0
    shape: Weight = 0.5
    joints: Weight = 4.0
    vertices: Weight = 4.0
    depth: Weight = 0.5
    colors: Weight = 0.5
    shape_prior: Weight = 0.05
    joint_limits: Weight = 1.0
    consistency: Weight = 0.5
    photometric: Weight = 0.0
    silhouette: Weight = 0.0
    lifting: Weight = 1.0


def hand_centres(keypoints_2d: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Return the mean of each hand's keypoints inside the image.

    Args:
        keypoints_2d: (..., 21, 2) network pixels.
        width: of the image, pixels.
        height: of the image, pixels.

    Returns:
        centres (..., 2), and whether any keypoint is inside (...) bool.
    """
    limit = keypoints_2d.new_tensor([width - 0.5, height - 0.5])
    inside = ((keypoints_2d >= -0.5) & (keypoints_2d < limit)).all(-1)
    count = inside.sum(-1)
    centre = (keypoints_2d * inside[..., None]).sum(-2) / count.clamp(min=1)[..., None]
    return centre, count > 0


def gaussian_sigma(box: Tensor) -> Tensor:
    """Return the width of the bump that a hand's centre gets: 0.09 of the box's mean side.

    TTFNet's width (Liu et al. 2020, α = 0.54, σ = α · side / 6); CenterNet's is a third of that
    and at stride 8 would be a single cell for every hand.

    Args:
        box: (..., 4) x0, y0, x1, y1, heatmap cells.

    Returns:
        (...) standard deviations, cells, at least 0.6.
    """
    side = torch.sqrt((box[..., 2:] - box[..., :2]).clamp(min=0).prod(-1))
    return (0.09 * side).clamp(min=0.6)


def centre_targets(
    batch: dict[str, Tensor], height: int, width: int, stride: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw the centre heatmaps of a batch.

    Args:
        batch: with `valid`, `ignore`, `is_right` (B, M), `keypoints_2d` (B, M, 21, 2),
            `box` (B, M, 4).
        height: of the heatmap, cells.
        width: of the heatmap, cells.
        stride: network pixels per cell.

    Returns:
        target (B, 2, height, width), 1 exactly at the centres' cells; weight (B, 1, height,
        width), 0 where a hand is to be ignored; trained (B, M) bool, hands that have a centre.
    """
    centre, inside = hand_centres(batch["keypoints_2d"], width * stride, height * stride)
    cell = torch.floor((centre + 0.5) / stride)
    sigma = gaussian_sigma(batch["box"] / stride)
    y = torch.arange(height, device=cell.device, dtype=cell.dtype)
    x = torch.arange(width, device=cell.device, dtype=cell.dtype)
    square_x = (x - cell[..., :1]) ** 2  # (B, M, width)
    square_y = (y - cell[..., 1:]) ** 2  # (B, M, height)
    distance = square_y[..., :, None] + square_x[..., None, :]
    bump = torch.exp(-distance / (2 * sigma**2)[..., None, None])  # (B, M, height, width)
    trained = batch["valid"] & ~batch["ignore"] & inside
    ignored = batch["valid"] & batch["ignore"]
    sides = torch.stack([trained & ~batch["is_right"], trained & batch["is_right"]], dim=1)
    target = (bump[:, None] * sides[..., None, None]).amax(2)
    weight = 1 - ((bump > 0.1) & ignored[..., None, None]).any(1, keepdim=True).float()
    return target, torch.maximum(weight, (target.amax(1, keepdim=True) == 1).float()), trained


def keypoint_targets(
    batch: dict[str, Tensor], trained: Tensor, height: int, width: int, stride: int
) -> Tensor:
    """Draw the keypoint heatmaps of a batch: visible keypoints of all hands, one map for each.

    Args:
        batch: with `keypoints_2d` (B, M, 21, 2) and `keypoints_visible` (B, M, 21).
        trained: (B, M) hands that take part.
        height: of the heatmap, cells.
        width: of the heatmap, cells.
        stride: network pixels per cell.

    Returns:
        (B, 21, height, width), 1 exactly at the keypoints' cells.
    """
    cell = torch.floor((batch["keypoints_2d"] + 0.5) / stride)
    x, y = (torch.arange(n, device=cell.device, dtype=cell.dtype) for n in (width, height))
    sigma = gaussian_sigma(batch["box"] / stride)[..., None, None] / 2
    bump_x = torch.exp(-((x - cell[..., :1]) ** 2) / (2 * sigma**2))  # (B, M, 21, width)
    bump_y = torch.exp(-((y - cell[..., 1:]) ** 2) / (2 * sigma**2))  # (B, M, 21, height)
    shown = (batch["keypoints_visible"] & trained[..., None]).to(cell.dtype)
    bumps = (bump_y * shown[..., None])[..., :, None] * bump_x[..., None, :]
    return bumps.amax(1)


def empty_places(
    heatmaps: Tensor, batch: dict[str, Tensor], stride: int, count: int
) -> tuple[Tensor, Tensor]:
    """Return the places outside every hand's box that look most like a hand's centre.

    Args:
        heatmaps: (B, 2, H, W) probabilities.
        batch: with `valid` (B, M) and `box` (B, M, 4).
        stride: network pixels per cell.
        count: places per image.

    Returns:
        image (P,) indices into B and centre (P, 2) network pixels, P at most B times count.
    """
    height, width = heatmaps.shape[2:]
    best = heatmaps.amax(1)
    best = best * (best >= F.max_pool2d(best[:, None], 3, stride=1, padding=1)[:, 0])
    y, x = ((torch.arange(n, device=best.device) + 0.5) * stride - 0.5 for n in (height, width))
    box = batch["box"][..., None]  # (B, M, 4, 1)
    in_x = (x >= box[:, :, 0]) & (x <= box[:, :, 2])  # (B, M, W)
    in_y = (y >= box[:, :, 1]) & (y <= box[:, :, 3])  # (B, M, H)
    in_hand = in_y[..., :, None] & in_x[..., None, :] & batch["valid"][..., None, None]
    best = best * ~in_hand.any(1)
    score, cell = torch.topk(best.flatten(1), count, dim=1)
    image, place = (score > 0).nonzero(as_tuple=True)
    cell = cell[image, place]
    return image, torch.stack([x[cell % width], y[cell // width]], dim=1)


def focal_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss, α = 2, β = 4, per positive (Law & Deng 2018).

    Args:
        logits: (B, channels, H, W).
        target: (B, channels, H, W) in [0, 1].
        weight: (B, 1, H, W).
    """
    probability = torch.sigmoid(logits)
    positive = (target == 1).float()
    hit = -F.logsigmoid(logits) * (1 - probability) ** 2 * positive
    miss = -F.logsigmoid(-logits) * probability**2 * (1 - target) ** 4 * (1 - positive)
    return ((hit + miss) * weight).sum() / positive.sum().clamp(min=1)


def box_ious(box: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return IoU and generalised IoU of paired boxes (Rezatofighi et al. 2019).

    Args:
        box: (N, 4) x0, y0, x1, y1.
        truth: (N, 4).

    Returns:
        (N,) in [0, 1] and (N,) in (-1, 1].
    """

    def area(corners: Tensor) -> Tensor:
        return (corners[:, 2:] - corners[:, :2]).clamp(min=0).prod(1)

    low, high = torch.maximum(box[:, :2], truth[:, :2]), torch.minimum(box[:, 2:], truth[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    union = (area(box) + area(truth) - shared).clamp(min=1e-6)
    low, high = torch.minimum(box[:, :2], truth[:, :2]), torch.maximum(box[:, 2:], truth[:, 2:])
    hull = (high - low).clamp(min=0).prod(1).clamp(min=1e-6)
    return shared / union, shared / union - (hull - union) / hull


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean over the hands of weight 1; 0 when there are none. values (N, ...), weight (N,)."""
    return (values.flatten(1).mean(1) * weight).sum() / weight.sum().clamp(min=1)


def _cross_entropy(logit: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean binary cross entropy; all (N,)."""
    loss = F.binary_cross_entropy_with_logits(logit, truth.to(logit.dtype), reduction="none")
    return _mean(loss[:, None], weight)


def _size(truth: dict[str, Tensor]) -> Tensor:
    """Longer sides (N,) of the true boxes, network pixels."""
    return (truth["box"][:, 2:] - truth["box"][:, :2]).amax(1).clamp(min=4)


def box_losses(found: HandBoxes, truth: dict[str, Tensor], nothing: Tensor) -> dict[str, Tensor]:
    """Compute the losses of N hands' boxes, unweighted.

    Args:
        found: the box head's output.
        truth: the batch's fields for these hands, each (N, ...).
        nothing: (P,) quality logits of places where there is no hand.

    Returns:
        the scalars size, coarse_box, box and quality.
    """
    size = _size(truth)
    everyone = torch.ones_like(size)

    def corners(box: Tensor) -> Tensor:
        distance = ((box - truth["box"]).abs() / size[:, None]).mean(1)
        _, generalised = box_ious(box, truth["box"])
        return _mean((distance + 0.5 * (1 - generalised))[:, None], everyone)

    iou, _ = box_ious(found.box.detach(), truth["box"])
    return {
        "size": _mean((torch.log(found.size) - torch.log(size)).abs()[:, None], everyone),
        "coarse_box": corners(found.coarse_box),
        "box": corners(found.box),
        "quality": _cross_entropy(found.quality_logit, iou, everyone)
        + _cross_entropy(nothing, torch.zeros_like(nothing), torch.ones_like(nothing)),
    }


def _bones(points: Tensor) -> Tensor:
    """Unit 2D bone vectors (N, 20, 2) of keypoints (N, 21, 2)."""
    parents = [parent for parent, _ in SKELETON]
    children = [child for _, child in SKELETON]
    bones = points[:, children] - points[:, parents]
    return bones / torch.sqrt((bones * bones).sum(-1, keepdim=True) + 1e-4)


def hand_losses(
    guess: HandParameters,
    found: HandParameters,
    hands: HandGeometry,
    truth: dict[str, Tensor],
    true_vertices: Tensor,
) -> dict[str, Tensor]:
    """Compute every loss of N hands, unweighted.

    Args:
        guess: the heads' output.
        found: what the lifter made of it.
        hands: the same hands in the camera frame.
        truth: the batch's fields for these hands, each (N, ...).
        true_vertices: (N, V, 3) metres, relative to the wrist; unused rows may be anything finite.

    Returns:
        one scalar for each field of `LossWeights` but lifting and those of heatmaps, boxes and
        `weak_losses`.
    """
    size = _size(truth)
    everyone = torch.ones_like(size)
    with_3d = truth["has_3d"].float()
    coloured = with_3d * (truth["colors"].flatten(1).amax(1) > 0).float()  # black: not known
    in_sizes = 1 / size[:, None, None]
    keypoints = truth["keypoints_2d"]
    # Hidden keypoints are guesses: they count less, with 3D labels (exact) or without.
    seen = 0.3 + 0.7 * truth["keypoints_visible"].float()[..., None]
    turn = palm_turn(keypoints)
    clear = (turn.abs() > CLEAR_TURN).float()
    projected = project(hands.joints, truth["hand_intrinsics"])
    bones = _bones(projected) - _bones(keypoints)
    true_joints = truth["joints"] - truth["translation"][:, None]
    joints = hands.joints - hands.translation[:, None]
    vertices = hands.vertices - hands.translation[:, None]
    guessed = camera_rotations(
        guess.rotations, guess.is_right, guess.wrist.detach(), truth["hand_intrinsics"]
    )
    true_depth = truth["translation"][:, 2].clamp(min=0.05)
    return {
        "side": _cross_entropy(found.side_logit, truth["is_right"], everyone),
        "palm": _cross_entropy(
            found.palm_logit,
            (turn > 0) == truth["is_right"].bool(),
            clear,
        ),
        "turn": _cross_entropy(found.turn_logit, turn > 0, clear),
        "coarse_keypoints": _mean(
            (found.coarse_keypoints - keypoints).abs() * in_sizes * seen, everyone
        ),
        "keypoints": _mean((found.keypoints - keypoints).abs() * in_sizes * seen, everyone),
        # The clamp keeps a hand that is still placed wildly from drowning the others.
        "reprojection": _mean(
            ((projected - keypoints).abs() * in_sizes * seen).clamp(max=2), everyone
        ),
        "bone_direction": _mean(bones**2 * seen[:, 1:], everyone),
        "rotations": _mean((hands.rotations - truth["rotations"]).abs(), with_3d),
        "guess": _mean((guessed - truth["rotations"]).abs(), with_3d),
        "shape": _mean((found.shape - truth["shape"]).abs(), with_3d),
        "joints": _mean((joints - true_joints).abs() * _DECIMETRES, with_3d),
        "vertices": _mean((vertices - true_vertices).abs() * _DECIMETRES, with_3d),
        "depth": _mean(
            (torch.log(hands.translation[:, 2]) - torch.log(true_depth)).abs()[:, None], with_3d
        ),
        "colors": _mean((found.colors - truth["colors"]).abs(), coloured),
        "shape_prior": _mean(found.shape**2, everyone),
    }


def total_loss(losses: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """Return the weighted sum of the losses."""
    terms = [getattr(weights, field.name) * losses[field.name] for field in fields(weights)]
    return torch.stack(terms).sum()

"""Losses of the refinement network's heads; each is zero where the truth is found.

Shapes: N crops, V vertices.
"""

from __future__ import annotations

from dataclasses import fields

import torch
import torch.nn.functional as F
from torch import Tensor

from handmesh_ros.network.heads import HAND_LENGTH
from handmesh_ros.network.lifting import SHAPE, SIZE, rotations_of
from handmesh_ros.network.refinement import (
    CropCamera,
    CropPose,
    CropReading,
    RefinementNetwork,
)
from handmesh_ros.training.losses.priors import joint_limits
from handmesh_ros.training.refinement.settings import RefinementWeights
from handmesh_ros.training.refinement.truth import CropTruth

TRUSTED_DISTANCE = 0.1
"""A landmark is right up to this distance from the true keypoint, in sizes of the hand."""

_DECIMETRES = 10.0
_FIRST_ROUND = 0.5


def trusted(read: CropReading, truth: CropTruth) -> Tensor:
    """Return (N, 21) 1 where the network's own landmarks are right."""
    apart = torch.linalg.vector_norm(read.landmarks[..., :2] - truth.keypoints, dim=-1)
    return (apart < TRUSTED_DISTANCE * truth.size[:, None]).float()


def refinement_losses(
    network: RefinementNetwork,
    read: CropReading,
    found: CropPose,
    colors: Tensor,
    camera: CropCamera,
    truth: CropTruth,
    frames: Tensor,
) -> dict[str, Tensor]:
    """Compute every loss of N crops, unweighted.

    Args:
        network: for its hand model.
        read: what the landmark network says.
        found: what the pose head makes of it, told the true side.
        colors: (N, V, 3) of the colour head.
        camera: of the crops.
        truth: labels.
        frames: (15, 3, 3) of `priors.joint_frames`.

    Returns:
        one scalar for each field of `RefinementWeights`.
    """
    hand, in_3d = truth.is_hand, truth.has_3d
    shown = (0.2 + 0.8 * truth.inside) * hand[:, None]
    off = (found.keypoints - truth.keypoints).abs().sum(-1) / truth.size[:, None]
    losses = {
        "keypoints": _mean_of(off.clamp(max=1.5), shown),
        "side": _cross_entropy(found.side_logit, truth.is_right, hand),
        "presence": _cross_entropy(found.presence_logit, hand, torch.ones_like(hand)),
        "visible": _cross_entropy(found.visible_logits, truth.visible, hand),
        "trust": _cross_entropy(found.trust_logits, trusted(read, truth), hand),
        "colors": _mean((colors - truth.colors).abs(), in_3d),
    }
    pose = {
        name: found.rounds[-1].new_zeros(())
        for name in ("rotations", "shape", "joints", "reprojection", "size")
    }
    for numbers in found.rounds:
        share = 1.0 if numbers is found.rounds[-1] else _FIRST_ROUND
        for name, loss in _pose_losses(network, numbers, found, camera, truth).items():
            pose[name] = pose[name] + share * loss
    last = found.rounds[-1]
    vertices, true_vertices = _vertices(network, last, truth)
    return {
        **losses,
        **pose,
        "vertices": _mean((vertices - true_vertices).abs() * _DECIMETRES, in_3d),
        "joint_limits": joint_limits(rotations_of(last), frames),
        "shape_prior": _mean(last[:, SHAPE] ** 2, hand * (1 - in_3d)),
    }


def total(losses: dict[str, Tensor], weights: RefinementWeights) -> Tensor:
    """Return the weighted sum of the losses."""
    terms = [getattr(weights, field.name) * losses[field.name] for field in fields(weights)]
    return torch.stack(terms).sum()


def _pose_losses(
    network: RefinementNetwork,
    numbers: Tensor,
    found: CropPose,
    camera: CropCamera,
    truth: CropTruth,
) -> dict[str, Tensor]:
    """Return the losses of one round's numbers (N, NUMBERS)."""
    in_3d = truth.has_3d
    rotations, shape = rotations_of(numbers), numbers[:, SHAPE]
    joints = network.hand_model.right_keypoints(rotations, shape)
    seen = network.pose.seen_at(numbers, found.spread, camera.focal, found.middle)
    shown = (0.3 + 0.7 * truth.inside) * truth.is_hand[:, None]
    off = (seen - truth.seen).abs().sum(-1) / found.spread
    size = torch.log(camera.focal * HAND_LENGTH / truth.depth[:, None]) - torch.log(found.spread)
    return {
        "rotations": _mean((rotations - truth.rotations).abs(), in_3d),
        "shape": _mean((shape - truth.shape).abs(), in_3d),
        "joints": _mean((joints - truth.joints).abs() * _DECIMETRES, in_3d),
        # The clamp keeps a hand that is still placed wildly from drowning the others.
        "reprojection": _mean_of(off.clamp(max=2), shown),
        "size": _mean((numbers[:, SIZE] - size).abs().clamp(max=2), in_3d),
    }


def _vertices(
    network: RefinementNetwork, numbers: Tensor, truth: CropTruth
) -> tuple[Tensor, Tensor]:
    """Return (N, V, 3) found and true vertices of right hands, metres from the wrist."""
    right = torch.ones_like(truth.is_right)
    found, _ = network.hand_model(rotations_of(numbers), numbers[:, SHAPE], right)
    with torch.no_grad():
        true, _ = network.hand_model(truth.rotations, truth.shape, right)
    return found, true


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean over the crops of weight 1; 0 when there are none. values (N, ...), weight (N,)."""
    return (values.flatten(1).mean(1) * weight).sum() / weight.sum().clamp(min=1)


def _mean_of(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean; both (N, 21)."""
    return (values * weight).sum() / weight.sum().clamp(min=1)


def _cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean binary cross entropy of the crops of weight 1; (N, ...), (N, ...), (N,)."""
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return _mean(loss.reshape(len(loss), -1), weight)

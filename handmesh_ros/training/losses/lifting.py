"""Training the pose lifter on posed hands seen from random sides: no image is needed.

Every hand with 3D labels in a batch is posed again, seen by random cameras, and described by a
spoiled guess and spoiled keypoints, as the heads would; the lifter has to give the hand back. The
noise was chosen by the errors of the network before it had a lifter.

Shapes: P poses, N hands.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from handmesh_ros.hand.model import axis_angle_to_matrix, rotation_from_6d
from handmesh_ros.network.heads import HAND_LENGTH
from handmesh_ros.network.lifting import (
    SHAPE,
    SIZE,
    PoseLifter,
    rotations_of,
    sixes,
    spread_of,
)
from handmesh_ros.training.losses.supervised import LossWeights

_PARTS = torch.tensor([0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5])
"""Of each model joint the wrist (0) or the finger that it belongs to."""

_KEYPOINT_FINGERS = torch.tensor([0, *(finger for finger in range(1, 6) for _ in range(4))])
_ALONG = torch.tensor([0.5, *(0.25, 0.5, 0.75, 1.0) * 5])
"""How much of a finger's shared error each keypoint gets."""


class SeenHands(NamedTuple):
    """N right hands in the lifter's virtual camera.

    Attributes:
        truth: (N, NUMBERS) of `PoseLifter`.
        true_seen: (N, 21, 2) where the keypoints really are.
        seen: (N, 21, 2) where they were found.
        spread: (N, 1) of those.
        guess: (N, NUMBERS).
    """

    truth: Tensor
    true_seen: Tensor
    seen: Tensor
    spread: Tensor
    guess: Tensor


def see_hands(
    lifter: PoseLifter, rotations: Tensor, count: int, draws: torch.Generator
) -> SeenHands:
    """Pose hands, look at them from random sides, spoil what is seen.

    Args:
        lifter: for its hand model.
        rotations: (P, 16, 3, 3) of right hands; those of wrists are not used. Fingers are mixed
            among the hands in four of ten.
        count: N.
        draws: where the random numbers come from (CPU).
    """
    device = rotations.device

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draws).to(device)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=draws).to(device)

    def pick(*shape: int) -> Tensor:
        return torch.randint(len(rotations), shape, generator=draws).to(device)

    parts, joint = _PARTS.to(device), torch.arange(16, device=device)
    source = torch.where(uniform(count, 1) < 0.4, pick(count, 6), pick(count, 1))
    posed = rotations[source[:, parts], joint]
    posed = torch.cat([_turns(normal(count, 4))[:, None], posed[:, 1:]], dim=1)
    shape = normal(count, 10).clamp(-2, 2)
    joints = lifter.hand_model.right_keypoints(posed, shape)
    distance = HAND_LENGTH * torch.exp(math.log(1.3) + uniform(count, 1) * math.log(15))
    there = joints[..., :2] / (distance + joints[..., 2]).clamp(min=0.03)[..., None]

    error = torch.exp(math.log(0.05) + 0.8 * normal(count, 1, 1)).clamp(0.005, 0.3)
    shared = normal(count, 6, 2)[:, _KEYPOINT_FINGERS.to(device)] * _ALONG.to(device)[:, None]
    noise = error * spread_of(there)[..., None] * (0.6 * normal(count, 21, 2) + 0.8 * shared)
    found = there + noise
    wrist = found[:, :1]
    spread = spread_of(found)
    true_seen, seen = (there - wrist) / spread[..., None], (found - wrist) / spread[..., None]
    size = torch.log(HAND_LENGTH / (distance * spread))
    truth = torch.cat([sixes(posed), shape, size, true_seen[:, 0]], dim=1)

    # One guess in ten knows nothing of the way that the hand is turned.
    turn = axis_angle_to_matrix(normal(count, 3) * (0.1 + 0.3 * normal(count, 1).abs()))
    turn = torch.where(uniform(count, 1, 1) < 0.1, _turns(normal(count, 4)), turn)
    other = rotations[pick(count, 1), joint]
    share = 0.8 * uniform(count, 1)
    six = sixes(posed) * share + (1 - share) * sixes(other)
    fingers = rotation_from_6d(six.reshape(-1, 16, 6))[:, 1:]
    turned = torch.cat([(turn @ posed[:, 0])[:, None], fingers], dim=1)
    guess = torch.cat(
        [
            sixes(turned),
            0.3 * shape + 0.3 * normal(count, 10),
            size + 0.2 * normal(count, 1),
            true_seen[:, 0] + 0.05 * normal(count, 2),
        ],
        dim=1,
    )
    return SeenHands(truth, true_seen, seen, spread, guess)


def _turns(numbers: Tensor) -> Tensor:
    """Return uniformly distributed rotations (N, 3, 3) of normal numbers (N, 4), quaternions."""
    w, x, y, z = torch.nn.functional.normalize(numbers, dim=1).unbind(1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def lifting_loss(lifter: PoseLifter, hands: SeenHands, weights: LossWeights) -> Tensor:
    """Return the weighted loss of the lifter's last round, and half of the one before.

    Args:
        lifter: to train.
        hands: to give back.
        weights: those of rotations, shape, joints, depth and reprojection count.
    """
    posed = rotations_of(hands.truth)
    joints = lifter.hand_model.right_keypoints(posed, hands.truth[:, SHAPE])
    total = hands.seen.new_zeros(())
    rounds = lifter.correct(hands.seen, hands.spread, hands.guess, None)
    for found, share in zip(rounds[-2:], (0.5, 1.0), strict=True):
        turned = rotations_of(found)
        got = lifter.hand_model.right_keypoints(turned, found[:, SHAPE])
        off = (lifter.seen_at(found, hands.spread) - hands.true_seen).abs().clamp(max=2)
        total = total + share * (
            weights.rotations * (turned - posed).abs().mean()
            + weights.shape * (found[:, SHAPE] - hands.truth[:, SHAPE]).abs().mean()
            + weights.joints * 10 * (got - joints).abs().mean()
            + weights.depth * (found[:, SIZE] - hands.truth[:, SIZE]).abs().mean()
            + weights.reprojection * off.mean()
        )
    return total

"""From keypoints in the image and a first guess to the pose that explains both.

The heads of `heads.py` guess pose and place from feature maps; their 2D keypoints are more exact
than that guess. `PoseLifter` corrects it: it is told where the joints of the guess would be seen
and where the keypoints are, and says what to change, twice. That is iterative error feedback
(Carreira et al. 2016; Kanazawa et al. 2018 for meshes) with the input of a 2D-to-3D lifting net
(Martinez et al. 2017), so that it can be trained on posed hands without any image, too.

Shapes: N hands in a flat list.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from handmesh_ros.hand.model import HandModel, rotation_from_6d
from handmesh_ros.network.heads import HAND_LENGTH, HandParameters
from handmesh_ros.network.layers import mlp
from handmesh_ros.network.placement import ray_rotation

NUMBERS = 16 * 6 + 10 + 1 + 2
"""What describes a hand here: rotations, shape, log of its size over the spread, the wrist."""

ROTATIONS, SHAPE, SIZE, WRIST = slice(0, 96), slice(96, 106), slice(106, 107), slice(107, 109)
"""Where they stand."""


class PoseLifter(nn.Module):
    """Corrects guesses of N hands until their joints are seen at the keypoints.

    Every hand is looked at by a virtual camera that points at its wrist, as a right hand: left
    hands are mirrored. Lengths in that picture are divided by the keypoints' spread.

    Args:
        features: channels of what the heads know of a hand.
        hidden: width.
        hand_model: for the guess's joints.
        rounds: corrections.
    """

    def __init__(self, features: int, hidden: int, hand_model: HandModel, rounds: int = 2):
        super().__init__()
        self.rounds = rounds
        self.hand_model = hand_model
        self.from_features = nn.Linear(features, hidden, bias=False)
        self.first = nn.Linear(42 + 42 + 1 + NUMBERS, hidden)
        self.middle = nn.Sequential(nn.LayerNorm(hidden), nn.ReLU(), mlp(hidden, hidden, layers=1))
        self.change = nn.Linear(hidden, NUMBERS)
        for layer in (self.from_features, self.change):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.change.bias)

    def forward(self, guess: HandParameters, intrinsics: Tensor) -> HandParameters:
        """Correct the heads' guess.

        Args:
            guess: of N hands. Its keypoints are taken as they are: no gradient goes into them.
            intrinsics: (N, 4) fx, fy, cx, cy, network pixels.

        Returns:
            the same with corrected rotations, shape, scale and wrist.
        """
        side = guess.is_right[:, None] * 2 - 1  # (N, 1)
        mirror = torch.cat([side, torch.ones_like(side)], dim=1)  # (N, 2)
        keypoints = guess.keypoints.detach()
        focal = torch.sqrt(intrinsics[:, :1] * intrinsics[:, 1:2])  # (N, 1)
        rays = (keypoints - intrinsics[:, None, 2:]) / intrinsics[:, None, :2]
        seen, away = look_at_wrist(rays)
        seen = seen * mirror[:, None]
        spread = spread_of(seen)  # (N, 1)
        seen = seen / spread[:, None]
        size = torch.log(guess.scale[:, None] / focal * HAND_LENGTH / (away * spread))
        wrist = (guess.wrist - keypoints[:, 0]) / (focal * spread) * mirror
        numbers = torch.cat([sixes(guess.rotations), guess.shape, size, wrist], dim=1)
        found = self.correct(seen, spread, numbers, guess.features)[-1]
        size, wrist = found[:, SIZE], found[:, WRIST]
        scale = torch.exp(size) * spread * away * focal / HAND_LENGTH
        return guess._replace(
            rotations=rotations_of(found),
            shape=found[:, SHAPE],
            scale=scale[:, 0],
            wrist=keypoints[:, 0] + wrist * mirror * (focal * spread),
        )

    def correct(
        self, seen: Tensor, spread: Tensor, numbers: Tensor, features: Tensor | None
    ) -> list[Tensor]:
        """Correct the numbers of N right hands, in the virtual camera.

        Args:
            seen: (N, 21, 2) keypoints, the wrist's at the origin, over their spread.
            spread: (N, 1) of the keypoints at distance 1.
            numbers: (N, NUMBERS) the guess.
            features: (N, features) what the heads know; None for hands without an image.

        Returns:
            (N, NUMBERS) after each round.
        """
        known: Tensor | float = 0.0 if features is None else self.from_features(features)
        rounds = []
        for _ in range(self.rounds):
            off = seen - self.seen_at(numbers, spread)
            given = torch.cat([seen.flatten(1), off.flatten(1), torch.log(spread), numbers], dim=1)
            numbers = numbers + self.change(self.middle(self.first(given) + known))
            rounds.append(numbers)
        return rounds

    def seen_at(self, numbers: Tensor, spread: Tensor) -> Tensor:
        """Return where the hands' keypoints are seen, (N, 21, 2), over the spread."""
        joints = self.hand_model.right_keypoints(rotations_of(numbers), numbers[:, SHAPE])
        distance = HAND_LENGTH * torch.exp(-numbers[:, SIZE]) / spread  # (N, 1)
        depth = (distance + joints[..., 2]).clamp(min=0.02)
        return joints[..., :2] / (depth * spread)[..., None] + numbers[:, None, WRIST]


def look_at_wrist(rays: Tensor) -> tuple[Tensor, Tensor]:
    """Turn the camera to the wrist.

    Args:
        rays: (N, 21, 2) of the keypoints, x / z and y / z.

    Returns:
        the same (N, 21, 2) in a camera whose axis is the wrist's ray; how much longer than its
        depth the wrist's distance is, (N, 1).
    """
    turn = ray_rotation(rays[:, 0])
    ahead = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=2) @ turn
    seen = ahead[..., :2] / ahead[..., 2:].clamp(min=0.1)
    return seen, torch.sqrt(1 + (rays[:, :1] ** 2).sum(-1))


def spread_of(points: Tensor) -> Tensor:
    """Return twice the root mean square distance of (N, 21, 2) points to their mean, (N, 1)."""
    off = points - points.mean(1, keepdim=True)
    return 2 * torch.sqrt((off * off).sum(-1).mean(1, keepdim=True) + 1e-8)


def sixes(rotations: Tensor) -> Tensor:
    """Return (N, 96), six numbers for each of (N, 16, 3, 3) rotations: see `rotation_from_6d`."""
    return torch.cat([rotations[..., 0], rotations[..., 1]], dim=2).flatten(1)


def rotations_of(numbers: Tensor) -> Tensor:
    """Return the (N, 16, 3, 3) rotations in (N, NUMBERS)."""
    return rotation_from_6d(numbers[:, ROTATIONS].reshape(-1, 16, 6))

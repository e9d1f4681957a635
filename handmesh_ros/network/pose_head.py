"""`PoseHead`: what the landmark network says of a crop, and where the crop lies, to a posed hand.

Shapes: N crops. "Crop units" are pixels of the crop divided by its side.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from handmesh_ros.hand.conventions import CROP_SIDE
from handmesh_ros.hand.model import HandModel
from handmesh_ros.network.heads import HAND_LENGTH
from handmesh_ros.network.lifting import NUMBERS, ROTATIONS, SHAPE, SIZE, WRIST, rotations_of
from handmesh_ros.network.placement import ray_rotation


class CropCamera(NamedTuple):
    """The virtual cameras of N crops.

    Attributes:
        rotation: (N, 3, 3), from a virtual camera to the real one.
        focal: (N, 1), crop units.
        to_image: (N, 2, 3), crop pixels to image pixels.
        intrinsics: (N, 4) fx, fy, cx, cy of the real camera, image pixels.
    """

    rotation: Tensor
    focal: Tensor
    to_image: Tensor
    intrinsics: Tensor

    @classmethod
    def of(cls, to_image: Tensor, intrinsics: Tensor) -> CropCamera:
        """Return the cameras of crops that are similarities of the image."""
        turn = to_image[:, :, :2]  # (N, 2, 2)
        middle = turn.sum(2) * (CROP_SIDE / 2) + to_image[:, :, 2]
        scale = torch.sqrt((turn[:, :, 0] ** 2).sum(1, keepdim=True) + 1e-12)  # (N, 1)
        ray = (middle - intrinsics[:, 2:]) / intrinsics[:, :2]
        cos, sin = turn[:, 0, :1] / scale, turn[:, 1, :1] / scale
        zero, one = torch.zeros_like(cos), torch.ones_like(cos)
        roll = torch.cat([cos, -sin, zero, sin, cos, zero, zero, zero, one], 1).reshape(-1, 3, 3)
        away = torch.sqrt(1 + (ray * ray).sum(1, keepdim=True))
        focal = torch.sqrt(intrinsics[:, :1] * intrinsics[:, 1:2]) * away / (CROP_SIDE * scale)
        return cls(ray_rotation(ray) @ roll, focal, to_image, intrinsics)

    def image_points(self, points: Tensor) -> Tensor:
        """Return (N, P, 2) image pixels of (N, P, 2) crop pixels."""
        turn, shift = self.to_image[:, :, :2], self.to_image[:, None, :, 2]
        return points @ turn.transpose(1, 2) + shift

    def see(self, points: Tensor) -> Tensor:
        """Return where (N, P, 2) crop pixels are seen, crop units from the virtual axis."""
        rays = self.image_points(points) - self.intrinsics[:, None, 2:]
        rays = rays / self.intrinsics[:, None, :2]
        ahead = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=2) @ self.rotation
        return ahead[..., :2] / ahead[..., 2:].clamp(min=0.1) * self.focal[:, None]


class CropReading(NamedTuple):
    """What the landmark network says of N crops.

    Attributes:
        landmarks: (N, 21, 3) crop pixels; depth relative to the wrist, in the scale of x.
        presence_logit: (N,) log odds that the crop shows a hand.
        side_logit: (N,) log odds of a right hand.
        world: (N, 21, 3) metres, in the axes of the crop.
        pooled: (N, 1152).
        fine: (N, 21, 40), the trunk's map of stride 8 at the landmarks.
        coarse: (N, 21, 112), the same of stride 16.
        shades: (N, 21, 3) RGB in [0, 1] at the landmarks.
    """

    landmarks: Tensor
    presence_logit: Tensor
    side_logit: Tensor
    world: Tensor
    pooled: Tensor
    fine: Tensor
    coarse: Tensor
    shades: Tensor


class CropPose(NamedTuple):
    """What the pose head makes of N crops.

    Attributes:
        keypoints: (N, 21, 2) crop pixels, in this project's definition of the joints.
        side_logit: (N,) log odds of a right hand.
        presence_logit: (N,) log odds that the crop shows a hand, learnt on candidates.
        visible_logits: (N, 21) log odds that a keypoint is in view.
        trust_logits: (N, 21) log odds that a landmark lies within a tenth of the hand's size.
        is_right: (N,) 1 for right hands: the side that the other numbers are for.
        rounds: of (N, NUMBERS), the guess and its corrections, as right hands in the virtual
            camera.
        middle: (N, 2) and
        spread: (N, 1), place and size of the keypoints there, crop units.
    """

    keypoints: Tensor
    side_logit: Tensor
    presence_logit: Tensor
    visible_logits: Tensor
    trust_logits: Tensor
    is_right: Tensor
    rounds: list[Tensor]
    middle: Tensor
    spread: Tensor


class _Residual(nn.Module):
    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _residuals(width: int, count: int, dropout: float, outputs: int = 0) -> nn.Sequential:
    layers = [_Residual(width, dropout) for _ in range(count)]
    last = [nn.Linear(width, outputs)] if outputs else []
    return nn.Sequential(*layers, nn.LayerNorm(width), nn.ReLU(), *last)


class _Standardise(nn.Module):
    """Subtract a mean and divide by a spread that were measured once."""

    mean: Tensor
    std: Tensor

    def __init__(self, count: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("std", torch.ones(count))

    def fit(self, values: Tensor) -> None:
        """Take mean and spread from (..., count) values."""
        flat = values.flatten(0, -2)
        self.mean.copy_(flat.mean(0))
        self.std.copy_(flat.std(0) + 0.02)

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.std).clamp(-5, 5)


class PoseHead(nn.Module):
    """From what the landmark network says to a posed hand.

    Args:
        hand_model: for the joints of the guess.
        hidden: width.
        dropout: probability.
    """

    start: Tensor

    def __init__(self, hand_model: HandModel, hidden: int = 384, dropout: float = 0.1):
        super().__init__()
        self.hand_model = hand_model
        self.scale_pooled, self.scale_fine, self.scale_coarse = (
            _Standardise(count) for count in (1152, 40, 112)
        )
        self.at_fine, self.at_coarse = nn.Linear(40, 12), nn.Linear(112, 24)
        self.features = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(86 + 1152 + 21 * 24 + 21 * 12, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
        )
        self.image_in = nn.Linear(42 + hidden, hidden)
        self.image = _residuals(hidden, 2, dropout)
        self.keypoint_change = nn.Linear(hidden, 42)
        self.logits = nn.Linear(hidden, 2 + 21)
        self.trust = nn.Linear(hidden, 21)
        self.known = nn.Linear(hidden, 2 * hidden)
        self.guess_in = nn.Linear(42 + 5 + 1, hidden)
        self.guess = _residuals(hidden, 3, dropout, NUMBERS)
        self.correction_in = nn.Linear(42 + 42 + 5 + 1 + NUMBERS, hidden)
        self.correction_known = nn.Linear(hidden, hidden)
        self.correction = _residuals(hidden, 2, dropout, NUMBERS)
        for layer in (self.keypoint_change, self.guess[-1], self.correction[-1]):
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, std=0.002)
            nn.init.zeros_(layer.bias)
        start = torch.zeros(NUMBERS)
        start[ROTATIONS] = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(16)
        self.register_buffer("start", start, persistent=False)

    def forward(
        self, read: CropReading, camera: CropCamera, is_right: Tensor | None = None
    ) -> CropPose:
        """Pose N hands.

        Args:
            read: of the landmark network.
            camera: of the crops.
            is_right: (N,) 1 for right hands; None to decide it here.
        """
        own = read.landmarks[..., :2] / CROP_SIDE - 0.5  # (N, 21, 2)
        presence = torch.sigmoid(read.presence_logit)[:, None]
        features = self.features(
            torch.cat(
                [
                    read.landmarks[..., 2] / CROP_SIDE * 2,
                    (read.world * 10).flatten(1),
                    presence,
                    read.side_logit[:, None].clamp(-9.21, 9.21) / 4,
                    self.scale_pooled(read.pooled),
                    self.at_coarse(self.scale_coarse(read.coarse)).relu().flatten(1),
                    self.at_fine(self.scale_fine(read.fine)).relu().flatten(1),
                ],
                dim=1,
            )
        )
        seen_in = self.image(self.image_in(torch.cat([own.flatten(1) * 4, features], 1)))
        keypoints = own + 0.2 * self.keypoint_change(seen_in).reshape(-1, 21, 2)
        logits = self.logits(seen_in)
        side_logit, presence_logit = logits[:, 0], logits[:, 1]
        if is_right is None:
            is_right = (side_logit > 0).float()

        sign = (is_right * 2 - 1)[:, None]  # (N, 1)
        pixels = (keypoints.detach() + 0.5) * CROP_SIDE
        seen = camera.see(pixels) * _mirror_2d(sign)[:, None]
        middle = seen.mean(1)
        off = seen - middle[:, None]
        spread = 2 * torch.sqrt((off * off).sum(-1).mean(1, keepdim=True) + 1e-6)
        off = off / spread[:, None]
        frame = [torch.log(spread), torch.log(camera.focal), middle * 4, sign, presence]
        known = self.known(features)
        half = known.shape[1] // 2
        known = torch.where(is_right[:, None] > 0.5, known[:, :half], known[:, half:])
        numbers = self.guess_in(torch.cat([off.flatten(1), *frame], 1)) + known
        numbers = self.start + self.guess(numbers)
        rounds = [numbers]
        error = (
            off
            - (self.seen_at(numbers, spread, camera.focal, middle) - middle[:, None])
            / (spread[:, None])
        )
        given = [off.flatten(1), error.flatten(1).clamp(-2, 2), *frame, numbers]
        change = self.correction_in(torch.cat(given, 1))
        change = change + self.correction_known(torch.relu(known))
        rounds.append(numbers + self.correction(change))
        return CropPose(
            keypoints=(keypoints + 0.5) * CROP_SIDE,
            side_logit=side_logit,
            presence_logit=presence_logit,
            visible_logits=logits[:, 2:],
            trust_logits=self.trust(seen_in),
            is_right=is_right,
            rounds=rounds,
            middle=middle,
            spread=spread,
        )

    def seen_at(self, numbers: Tensor, spread: Tensor, focal: Tensor, middle: Tensor) -> Tensor:
        """Return where the joints of right hands are seen, (N, 21, 2) crop units."""
        joints = self.hand_model.right_keypoints(rotations_of(numbers), numbers[:, SHAPE])
        wrist = wrist_position(numbers, spread, focal, middle)
        depth = (wrist[:, 2:] + joints[..., 2]).clamp(min=0.03)
        return (joints[..., :2] + wrist[:, None, :2]) / depth[..., None] * focal[:, None]

    def fit_scales(self, read: CropReading) -> None:
        """Measure the inputs' means and spreads, once, before training."""
        self.scale_pooled.fit(read.pooled)
        self.scale_fine.fit(read.fine)
        self.scale_coarse.fit(read.coarse)


def wrist_position(numbers: Tensor, spread: Tensor, focal: Tensor, middle: Tensor) -> Tensor:
    """Return the wrists of right hands, (N, 3) metres, in the virtual camera.

    Depth is focal length over the hand's scale in the picture, as in the single-stage network.
    """
    depth = focal * HAND_LENGTH / (spread * torch.exp(numbers[:, SIZE].clamp(-3, 3)))
    across = (middle + numbers[:, WRIST] * spread) * depth / focal
    return torch.cat([across, depth], dim=1)


def _mirror_2d(sign: Tensor) -> Tensor:
    return torch.cat([sign, torch.ones_like(sign)], dim=1)

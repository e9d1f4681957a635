"""Mirrored twins: a batch seen a second time, mirrored and in another light, on the GPU.

A GPU takes images faster than processes can load them. Every loaded image therefore serves twice
in its batch, which helps more than it costs (batch augmentation, Hoffer et al. 2020); the twin has
the other side and other colours, so that no twin can be copied from its original.
"""

from __future__ import annotations

import torch
from torch import Tensor

Batch = dict[str, Tensor]

_CAST, _GAIN, _GAMMA = 0.08, 0.2, 0.25
"""Standard deviations of logarithms: of a channel's gain, of all channels', of the exponent."""


def with_twins(batch: Batch, draws: torch.Generator) -> Batch:
    """Return a batch of B images as one of 2 B: itself, then the twins.

    Args:
        batch: as made by `collate`, on any device.
        draws: where the random numbers come from, on the CPU.
    """
    twins = relit(mirrored(batch), draws)
    return {name: torch.cat([values, twins[name]]) for name, values in batch.items()}


def mirrored(batch: Batch) -> Batch:
    """Return a batch as a mirror shows it: what `View.flip` does to a sample.

    Args:
        batch: as made by `collate`; the padding among the hands is mirrored with them.
    """
    last = batch["image"].shape[2] - 1.0
    box, sign = batch["box"], _signs(batch["joints"], -1, 1, 1)
    turned = _signs(batch["rotations"], 1, -1, -1, -1, 1, 1, -1, 1, 1).reshape(3, 3)
    return {
        **batch,
        "image": batch["image"].flip(2),
        "mask": batch["mask"].flip(2),
        "intrinsics": _mirrored_cameras(batch["intrinsics"], last),
        "hand_intrinsics": _mirrored_cameras(batch["hand_intrinsics"], last),
        "is_right": ~batch["is_right"],
        "keypoints_2d": _mirrored_points(batch["keypoints_2d"], last),
        "box": torch.stack(
            [last - box[..., 2], box[..., 1], last - box[..., 0], box[..., 3]], dim=-1
        ),
        "joints": batch["joints"] * sign,
        "translation": batch["translation"] * sign,
        "rotations": batch["rotations"] * turned,
    }


def relit(batch: Batch, draws: torch.Generator) -> Batch:
    """Return a batch in other light: gain, cast and gamma of each image and its hands' colours.

    Args:
        batch: as made by `collate`.
        draws: where the random numbers come from, on the CPU.
    """
    image, colors = batch["image"], batch["colors"]
    size = (len(image), 3)
    gain = torch.randn(size, generator=draws) * _CAST
    gain = torch.exp(gain + torch.randn((len(image), 1), generator=draws) * _GAIN)
    gamma = torch.exp(torch.randn((len(image), 1), generator=draws) * _GAMMA)
    levels = torch.linspace(0, 1, 256)
    tables = (gain[..., None] * levels ** gamma[..., None]).clamp(0, 1) * 255  # (B, 3, 256)
    tables = tables.round().to(image.device, torch.uint8)

    def through(values: Tensor) -> Tensor:
        flat = values.reshape(len(values), -1, 3).transpose(1, 2).long()
        return tables.gather(2, flat).transpose(1, 2).reshape(values.shape)

    return {**batch, "image": through(image), "colors": through(colors)}


def _signs(like: Tensor, *values: int) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)


def _mirrored_points(points: Tensor, last: float) -> Tensor:
    return torch.stack([last - points[..., 0], points[..., 1]], dim=-1)


def _mirrored_cameras(cameras: Tensor, last: float) -> Tensor:
    return torch.cat([cameras[..., :2], _mirrored_points(cameras[..., 2:], last)], dim=-1)

"""Our hand model fitted to labelled 3D joints, so that any data set's joints train a whole mesh.

Published sets give joints, and often the parameters of another hand model. Rotations and shape of
ours are found by making its 21 joints meet the labelled ones. Joints do not show a finger's twist
nor, well, a hand's thickness: bending about other axes than a joint's own, opening too far, and
unusual shapes cost a little.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from handmesh_ros.hand.conventions import MIRROR
from handmesh_ros.hand.model import HandModel, axis_angle_to_matrix, mirror_rotations
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.training.data.readers.annotated import project
from handmesh_ros.training.data.sample import PALM_KEYPOINTS, VERTEX_COUNT, Sample

WORST_ERROR = 0.012
"""Mean distance of joints, metres, above which a fit is not believed."""

STEPS = 120
_RATE = 0.06
_TWIST, _OPENING, _SHAPE = 0.02, 0.1, 0.01
"""Costs beside the mean squared distance in centimetres: per radian² and per coefficient²."""

_LEAST_BEND = -0.35
_MOST_SHAPE = 3.0
_log = logging.getLogger(__name__)


class Fit(NamedTuple):
    """N fitted hands.

    Attributes:
        rotations: (N, 16, 3, 3), as in `Sample`.
        shape: (N, B).
        vertices: (N, V, 3) metres, relative to the wrist.
        error: (N,) mean distance of the joints, metres.
    """

    rotations: Tensor
    shape: Tensor
    vertices: Tensor
    error: Tensor


def fit_hand_model(
    joints: Tensor, is_right: Tensor, template: HandTemplate, steps: int = STEPS
) -> Fit:
    """Fit a hand model to joints by gradient descent, all hands at once.

    Args:
        joints: (N, 21, 3) metres, camera frame; the wrist is kept exactly.
        is_right: (N,) bool.
        template: the hand model.
        steps: of the descent.
    """
    model = HandModel(_tips_only(template)).eval()
    wanted = joints - joints[:, :1]
    mirror = torch.from_numpy(MIRROR).to(wanted)
    wanted = torch.where(is_right[:, None, None], wanted, wanted @ mirror)
    everyone_right = torch.ones(len(joints), dtype=torch.bool)
    count = len(joints)
    flat = torch.eye(3).expand(count, 16, 3, 3)
    with torch.no_grad():
        _, rest = model(flat, torch.zeros(count, template.shape_count), everyone_right)
    palm = list(PALM_KEYPOINTS)
    start = _rotation_between(rest[:, palm], wanted[:, palm])
    axes = torch.from_numpy(template.flexion_axes) if template.flexion_axes.size else None

    pose = torch.zeros(count, 16, 3, requires_grad=True)
    shape = torch.zeros(count, template.shape_count, requires_grad=True)
    descent = torch.optim.Adam([pose, shape], lr=_RATE)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(descent, steps, eta_min=0.05 * _RATE)

    def pose_hands() -> tuple[Tensor, Tensor, Tensor]:
        turns = axis_angle_to_matrix(pose)
        rotations = torch.cat([start[:, None] @ turns[:, :1], turns[:, 1:]], dim=1)
        return rotations, *model(rotations, shape, everyone_right)

    for _ in range(steps):
        distance = (pose_hands()[2] - wanted) * 100
        cost = distance.square().sum(-1).mean(-1) + _SHAPE * shape.square().sum(-1)
        cost = cost + _unlikely(pose[:, 1:], axes)
        descent.zero_grad()
        cost.sum().backward()
        descent.step()
        rate.step()
        with torch.no_grad():
            shape.clamp_(-_MOST_SHAPE, _MOST_SHAPE)
    with torch.no_grad():
        rotations, _, found = pose_hands()
        error = (found - wanted).norm(dim=-1).mean(-1)
        rotations = mirror_rotations(rotations, is_right)
        vertices, _ = HandModel(template).eval()(rotations, shape, is_right)
    return Fit(rotations, shape.detach(), vertices, error)


def fit_samples(
    samples: Sequence[Sample], template: HandTemplate, with_colors: bool = True
) -> list[Sample]:
    """Return samples whose joints have become complete 3D labels (`has_3d` 1).

    Rotations, shape, the box of the projected vertices and, on demand, one skin colour for the
    whole hand, the middle one of the image at the visible keypoints, are filled in. A hand that
    the hand model cannot meet within `WORST_ERROR` keeps its 2D labels only. Hands without joints
    stay.

    Args:
        samples: from a reader of published data.
        template: the hand model that is trained.
        with_colors: fill in the colour; without, colours stay 0, which is unknown.
    """
    fits = [sample.joints.any(axis=(1, 2)) for sample in samples]
    if not any(chosen.any() for chosen in fits):
        return list(samples)
    joints = np.concatenate([s.joints[chosen] for s, chosen in zip(samples, fits, strict=True)])
    sides = np.concatenate([s.is_right[chosen] for s, chosen in zip(samples, fits, strict=True)])
    fit = fit_hand_model(torch.from_numpy(joints), torch.from_numpy(sides).bool(), template)
    doubtful = int((fit.error > WORST_ERROR).sum())
    if doubtful:
        _log.warning(
            "%d of %d hands keep 2D labels only: their joints are %.0f mm and more from any "
            "hand's.",
            doubtful,
            len(joints),
            WORST_ERROR * 1000,
        )
    parts = [values.split([int(chosen.sum()) for chosen in fits]) for values in fit]
    return [
        _filled_in(sample, chosen, Fit(*fitted), with_colors)
        for sample, chosen, *fitted in zip(samples, fits, *parts, strict=True)
    ]


def _filled_in(sample: Sample, chosen: np.ndarray, fit: Fit, with_colors: bool) -> Sample:
    """Return the sample with the fitted hands' labels; chosen (N,) says which were fitted."""
    good = fit.error.numpy() <= WORST_ERROR
    at = np.flatnonzero(chosen)
    keep, drop = at[good], at[~good]
    names = ("has_3d", "rotations", "shape", "colors", "box", "joints", "translation")
    new = {name: getattr(sample, name).copy() for name in names}
    new["joints"][drop], new["translation"][drop] = 0, 0
    new["has_3d"][keep] = 1
    new["rotations"][keep] = fit.rotations.numpy()[good]
    new["shape"][keep] = fit.shape.numpy()[good]
    for hand, vertices in zip(keep, fit.vertices.numpy()[good], strict=True):
        points = project(vertices + sample.translation[hand], sample.intrinsics)
        new["box"][hand] = np.concatenate([points.min(axis=0), points.max(axis=0)])
        if with_colors:
            new["colors"][hand] = np.tile(_skin_colour(sample, int(hand)), (VERTEX_COUNT, 1))
    return sample.replace(**new)


def _skin_colour(sample: Sample, hand: int) -> np.ndarray:
    """Return (3,) uint8, the middle colour of the image at the hand's visible keypoints."""
    height, width = sample.image.shape[:2]
    points = sample.keypoints_2d[hand].round().astype(int)
    inside = ((points >= 0) & (points < (width, height))).all(axis=1)
    seen = inside & sample.keypoints_visible[hand].astype(bool)
    points = points[seen if seen.any() else inside]
    if not len(points):
        return np.full(3, 128, np.uint8)
    return np.median(sample.image[points[:, 1], points[:, 0]], axis=0).astype(np.uint8)


def _tips_only(template: HandTemplate) -> HandTemplate:
    """Return the hand model with its fingertips as the only vertices: all that joints need."""
    tips = template.fingertips
    no_faces = np.zeros((0, 3), np.int32)
    return replace(
        template,
        template=template.template[tips],
        faces=no_faces,
        cap_faces=no_faces,
        shape_dirs=template.shape_dirs[tips],
        weights=template.weights[tips],
        joint_regressor=template.joint_regressor[:, tips],
        fingertips=np.arange(len(tips), dtype=np.int32),
        pose_dirs=template.pose_dirs[tips] if template.pose_dirs.size else template.pose_dirs,
    )


def _unlikely(pose: Tensor, axes: Tensor | None) -> Tensor:
    """Return (N,) the cost of finger poses (N, 15, 3) that joints alone would not exclude."""
    if axes is None:
        return _TWIST * pose.square().sum((-1, -2))
    bend = (pose * axes).sum(-1, keepdim=True)
    twist = (pose - bend * axes).square().sum((-1, -2))
    opening = (_LEAST_BEND - bend).clamp(min=0).square().sum((-1, -2))
    return _TWIST * twist + _OPENING * opening


def _rotation_between(points: Tensor, target: Tensor) -> Tensor:
    """Return (N, 3, 3) rotations, det = +1, that best turn points (N, P, 3) onto the target."""
    u, _, vt = torch.linalg.svd(target.transpose(1, 2) @ points)
    sign = torch.ones(len(points), 3)
    sign[:, 2] = torch.linalg.det(u @ vt).sign()
    return (u * sign[:, None]) @ vt

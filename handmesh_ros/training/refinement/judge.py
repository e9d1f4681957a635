"""Figures of the refinement network on cached crops with exact truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from handmesh_ros.network.refinement import RefinementNetwork
from handmesh_ros.training.evaluation.metrics import procrustes
from handmesh_ros.training.refinement.data import Batch, camera_of, reading_of, take
from handmesh_ros.training.refinement.losses import TRUSTED_DISTANCE, trusted
from handmesh_ros.training.refinement.truth import CropTruth, truth_of

SHOWN, HIDDEN = 0.8, 0.5
"""Hands are seen above the first visible fraction, and half hidden below the second."""

BINS = 5
"""Of a reliability diagram, equally wide."""

Figures = dict[str, float]

_ROWS = 256


def judge(network: RefinementNetwork, batch: Batch) -> dict[str, Figures]:
    """Return figures of all, seen and half hidden hands; of the trust in landmarks; of colours.

    The network decides the side itself, as when it runs.

    Args:
        network: in evaluation mode.
        batch: rows of cached features; those without a hand are left out.
    """
    hands = take(batch, batch["is_hand"] > 0)
    if not len(hands["is_hand"]):
        return {}
    truth = truth_of(hands, camera_of(hands))
    found = _predict(network, hands, truth)
    fraction = hands["visible_fraction"].numpy()
    groups = {"all": fraction > -1, "seen": fraction > SHOWN, "hidden": fraction <= HIDDEN}
    figures = {}
    for name, chosen in groups.items():
        if chosen.any():
            figures[name] = _figures(
                {key: values[chosen] for key, values in found.items()}, int(chosen.sum())
            )
    figures["trust"] = calibration(found["trust"].ravel(), found["trusted"].ravel() > 0)
    return figures


def calibration(probability: np.ndarray, correct: np.ndarray) -> Figures:
    """Return how well probabilities tell right from wrong.

    Args:
        probability: (N,) in [0, 1].
        correct: (N,) bool.

    Returns:
        auc, brier, ece (mean distance of a bin's share of right ones from its mean probability),
        and of each bin its share of right ones and its mean probability.
    """
    order = np.argsort(probability, kind="stable")
    rank = np.empty(len(order))
    rank[order] = np.arange(1, len(order) + 1)
    positive, negative = int(correct.sum()), int((~correct).sum())
    area = (rank[correct].sum() - positive * (positive + 1) / 2) / max(positive * negative, 1)
    figures = {
        "share": float(correct.mean()),
        "auc": float(area),
        "brier": float(((probability - correct) ** 2).mean()),
    }
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)
    apart = 0.0
    for one in range(BINS):
        chosen = bins == one
        if chosen.any():
            told, true = float(probability[chosen].mean()), float(correct[chosen].mean())
            figures[f"told_{one}"], figures[f"true_{one}"] = told, true
            apart += abs(told - true) * float(chosen.mean())
    return {**figures, "ece": apart}


def format_figures(figures: dict[str, dict[str, Figures]]) -> str:
    """Return a Markdown table, one column for each name, one row a figure."""
    names = list(figures)
    lines = ["| figure | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for group, values in figures[names[0]].items():
        for figure in values:
            cells = [f"{figures[name].get(group, {}).get(figure, np.nan):.4g}" for name in names]
            lines.append(f"| {group} {figure} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@torch.no_grad()
def _predict(network: RefinementNetwork, hands: Batch, truth: CropTruth) -> dict[str, np.ndarray]:
    """Return per-hand errors and what they are computed from, (N, ...) arrays."""
    parts: list[dict[str, Tensor]] = []
    for start in range(0, len(hands["is_hand"]), _ROWS):
        where = slice(start, start + _ROWS)
        rows, true = take(hands, where), CropTruth(*(values[where] for values in truth))
        read, camera = reading_of(rows), camera_of(rows)
        found = network.pose(read, camera)
        placed = network.place(found, camera)
        vertices, joints = network.hand_model(rows["rotations"], rows["shape"], true.is_right)
        image = _project(placed.joints, rows["intrinsics"])
        points = camera.image_points(read.landmarks[..., :2])
        box = rows["box"]
        size = (box[:, 2:] - box[:, :2]).amax(1).clamp(min=1)[:, None]

        def off(seen: Tensor, rows: Batch = rows, size: Tensor = size) -> Tensor:
            return torch.linalg.vector_norm(seen - rows["keypoints_2d"], dim=-1) / size

        colors = network.colours(read.shades)
        parts.append(
            {
                "joints": placed.joints - placed.translation[:, None],
                "vertices": placed.vertices - placed.translation[:, None],
                "true_joints": joints,
                "true_vertices": vertices,
                "side": (found.side_logit > 0) == (true.is_right > 0),
                "side_published": (read.side_logit > 0) == (true.is_right > 0),
                "mesh": off(image),
                "mesh_published": torch.linalg.vector_norm(image - points, dim=-1) / size,
                "published": off(points),
                "corrected": off(camera.image_points(found.keypoints)),
                "inside": true.inside,
                "trust": torch.sigmoid(found.trust_logits),
                "trusted": trusted(read, true),
                "color": (colors - true.colors).abs().mean((1, 2)) * 255,
                "tone": (colors.mean(1) - true.colors.mean(1)).abs().mean(1) * 255,
            }
        )
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}


def _figures(found: dict[str, np.ndarray], count: int) -> Figures:
    inside = found["inside"] > 0

    def aligned(name: str) -> float:
        points, target = found[name].astype(np.float64), found[f"true_{name}"].astype(np.float64)
        apart = np.linalg.norm(procrustes(points, target) - target, axis=-1)
        return 1000 * float(apart.mean())

    def of_inside(name: str, what: Callable[[np.ndarray], np.ndarray]) -> float:
        values = found[name][inside]
        return float(what(values)) if len(values) else float("nan")

    return {
        "hands": count,
        "pa_mpjpe_mm": aligned("joints"),
        "pa_mpvpe_mm": aligned("vertices"),
        "side": float(found["side"].mean()),
        "side_published": float(found["side_published"].mean()),
        "mesh_2d": of_inside("mesh", np.mean),
        "mesh_2d_median": of_inside("mesh", np.median),
        "mesh_pck@.1": of_inside("mesh", lambda off: (off < TRUSTED_DISTANCE).mean()),
        "published_pck@.1": of_inside("published", lambda off: (off < TRUSTED_DISTANCE).mean()),
        "corrected_pck@.1": of_inside("corrected", lambda off: (off < TRUSTED_DISTANCE).mean()),
        "mesh_to_published": of_inside("mesh_published", np.mean),
        "color": float(found["color"].mean()),
        "tone": float(found["tone"].mean()),
    }


def _project(points: Tensor, intrinsics: Tensor) -> Tensor:
    """Return (N, P, 2) image pixels of (N, P, 3) metres."""
    rays = points[..., :2] / points[..., 2:].clamp(min=0.01)
    return rays * intrinsics[:, None, :2] + intrinsics[:, None, 2:]

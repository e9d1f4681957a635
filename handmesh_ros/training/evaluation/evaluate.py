"""`handmesh evaluate`: a model's figures on labelled images, through the whole runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from handmesh_ros.common.progress import progress
from handmesh_ros.hand.model import HandModel
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.opening import HandFinder
from handmesh_ros.training.data.dataset import ignored_hands
from handmesh_ros.training.data.geometry import turned
from handmesh_ros.training.data.sample import Sample, points_inside
from handmesh_ros.training.data.shards import ShardDataset
from handmesh_ros.training.evaluation.groups import GroupMetrics
from handmesh_ros.training.evaluation.mediapipe_baseline import MediaPipeBaseline
from handmesh_ros.training.evaluation.metrics import Metrics, TrueHands

LOWEST_SCORE = 0.02
"""Detections below this score are not even counted for average precision."""


def true_hands(sample: Sample, hand_model: HandModel) -> TrueHands:
    """Return the labels of a sample in the form that `Metrics` takes.

    Keypoints inside the image count for PCK, hidden or not.

    Args:
        sample: from a shard.
        hand_model: makes the true vertices of hands with 3D labels.
    """
    height, width = sample.image.shape[:2]
    count = len(sample)
    has_3d = sample.has_3d.astype(bool)
    vertices = np.zeros((count, hand_model.vertex_count, 3), np.float32)
    if has_3d.any():
        with torch.inference_mode():
            placed, _ = hand_model(
                torch.from_numpy(sample.rotations[has_3d]),
                torch.from_numpy(sample.shape[has_3d]),
                torch.from_numpy(sample.is_right[has_3d].astype(np.float32)),
            )
        vertices[has_3d] = placed.numpy() + sample.translation[has_3d, None]
    return TrueHands(
        is_right=sample.is_right.astype(bool),
        box=sample.box,
        keypoints_2d=sample.keypoints_2d,
        keypoints_counted=points_inside(sample.keypoints_2d, (0, 0, width, height)),
        has_3d=has_3d,
        joints=sample.joints,
        vertices=vertices,
        colors=sample.colors.astype(np.float32) / 255,
        ignored=ignored_hands(sample),
        width=width,
        height=height,
    )


def evaluate(
    estimator: HandFinder | MediaPipeBaseline,
    dataset: ShardDataset,
    *,
    limit: int | None = None,
    threshold: float | None = None,
    turn_deg: int = 0,
    groups: GroupMetrics | None = None,
) -> dict[str, Any]:
    """Run a model over a data set.

    Args:
        estimator: the whole runtime, letterbox to duplicate suppression; or MediaPipe, whose
            hands are judged in 2D only.
        dataset: labelled images.
        limit: use only the first images.
        threshold: detections below count for average precision only; None for the estimator's.
        turn_deg: turn every image clockwise by so much, a multiple of 90.
        groups: also counts every image, for figures of parts of the hands.

    Returns:
        `Metrics.summary()`.
    """
    hand_model = HandModel(HandTemplate.bundled()).eval()
    metrics = Metrics(estimator.score_threshold if threshold is None else threshold)
    usual = estimator.score_threshold
    estimator.score_threshold = min(LOWEST_SCORE, usual)
    try:
        for index in progress(range(min(len(dataset), limit or len(dataset)))):
            sample = turned(dataset[index], turn_deg // 90)
            found = estimator.detect(sample.image, sample.intrinsics)
            truth = true_hands(sample, hand_model)
            if isinstance(estimator, MediaPipeBaseline):
                truth.has_3d[:] = False
            metrics.update(found, truth)
            if groups is not None:
                groups.update(found, truth, sample)
    finally:
        estimator.score_threshold = usual
    return metrics.summary()


def format_table(results: dict[str, dict[str, Any]]) -> str:
    """Return results as a Markdown table, one data set a column."""
    names = list(results)
    lines = ["| metric | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for metric in results[names[0]]:
        cells = []
        for name in names:
            value = results[name][metric]
            if value is None:
                cells.append("–")
            elif isinstance(value, int):
                cells.append(str(value))
            else:
                cells.append(f"{value:.1f}" if metric.endswith("_mm") else f"{value:.3f}")
        lines.append(f"| {metric} | " + " | ".join(cells) + " |")
    return "\n".join(lines)

"""`handmesh evaluate`: a model's figures on labelled images, through the whole runtime."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from handmesh_ros.arguments import (
    add_backend,
    add_effort,
    add_models,
    chosen_models,
    count,
    number,
    open_chosen,
)
from handmesh_ros.commands.places import Originals, check_place
from handmesh_ros.hand.model import HandModel
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.effort import Effort
from handmesh_ros.inference.opening import HandFinder
from handmesh_ros.runtime.models import files_of
from handmesh_ros.training.datasets.dataset import ignored_hands
from handmesh_ros.training.datasets.geometry import turned
from handmesh_ros.training.datasets.published import READERS
from handmesh_ros.training.groups import GroupMetrics, format_groups
from handmesh_ros.training.mediapipe_baseline import MediaPipeBaseline
from handmesh_ros.training.metrics import Metrics, TrueHands
from handmesh_ros.training.official import evaluate_officially
from handmesh_ros.training.sample import Sample, points_inside
from handmesh_ros.training.shards import ShardDataset

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
        for index in tqdm(range(min(len(dataset), limit or len(dataset))), disable=None):
            sample = turned(dataset[index], turn_deg // 90)
            found = estimator(sample.image, sample.intrinsics)
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        "data", type=Path, nargs="+", help="folders of shards, or with --dataset that data set's"
    )
    parser.add_argument(
        "--dataset", choices=READERS, help="follow the official protocol of this data set"
    )
    parser.add_argument("--split", help="of the data set (default: the one for evaluation)")
    parser.add_argument(
        "--predictions", type=Path, metavar="FILE", help="write the data set's submission file"
    )
    add_models(parser)
    add_effort(parser, Effort.FAST.value)
    add_backend(parser)
    parser.add_argument(
        "--threshold", type=number(0, 1), help="score threshold (default: the model's)"
    )
    parser.add_argument("--limit", type=count(), help="use only the first images of each folder")
    parser.add_argument(
        "--turn",
        type=int,
        default=0,
        choices=(0, 90, 180, 270),
        metavar="DEG",
        help="turn every image clockwise by 90, 180 or 270 degrees: hands that lie or hang",
    )
    parser.add_argument(
        "--mediapipe",
        metavar="PYTHON",
        help="an interpreter that has mediapipe, to measure it on the same images",
    )
    parser.add_argument(
        "--groups", action="store_true", help="also by side, size, view, pose, cover and skin"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    if args.dataset is None and (args.split or args.predictions):
        raise argparse.ArgumentError(None, "--split and --predictions belong to --dataset")
    if args.dataset is not None and (args.groups or args.mediapipe or args.turn):
        raise argparse.ArgumentError(None, "--groups, --mediapipe and --turn are for shards")
    if args.dataset is not None and len(args.data) != 1:
        raise argparse.ArgumentError(
            None, "--dataset takes one folder, the one it was unpacked into"
        )
    originals = Originals(files_of(chosen_models(args).files()))
    for target in filter(None, (args.json, args.predictions)):
        originals.check(target)
        check_place(target)
    data_sets = {} if args.dataset else _open(args.data)
    estimator = open_chosen(args, Effort.FAST, score_threshold=args.threshold)
    tables: dict[str, Any] = {}
    if args.dataset is None:
        results = {}
        for name, shards in data_sets.items():
            groups = GroupMetrics(estimator.score_threshold) if args.groups else None
            options: dict[str, Any] = {"limit": args.limit, "turn_deg": args.turn}
            figures = evaluate(estimator, shards, groups=groups, **options)
            results[name] = figures
            if args.mediapipe:
                baseline = MediaPipeBaseline(args.mediapipe)
                figures = evaluate(baseline, shards, **options)
                results[f"{name}, MediaPipe"] = figures
                baseline.close()
            if groups is not None:
                tables[name] = groups.summary()
    else:
        figures = evaluate_officially(
            estimator,
            args.dataset,
            args.data[0],
            split=args.split,
            predictions=args.predictions,
            limit=args.limit,
        )
        results = {args.dataset: figures}
    print(format_table(results))
    for name, table in tables.items():
        print(f"\n{name}\n\n{format_groups(table)}")
        results[name]["groups"] = table
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


def _open(folders: list[Path]) -> dict[str, ShardDataset]:
    """Return data sets by their folders' names, or by whole paths where names are the same."""
    names = [folder.resolve().name for folder in folders]
    return {
        name if names.count(name) == 1 else str(folder): ShardDataset(folder)
        for name, folder in zip(names, folders, strict=True)
    }

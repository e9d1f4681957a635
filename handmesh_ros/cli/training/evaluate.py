"""`handmesh evaluate`: a model's figures on labelled images, through the whole runtime."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from handmesh_ros.cli.arguments import (
    add_backend,
    add_effort,
    add_models,
    chosen_models,
    open_chosen,
)
from handmesh_ros.common.arguments import count, number
from handmesh_ros.common.imports import plain_errors
from handmesh_ros.common.output_paths import Originals, check_place
from handmesh_ros.inference.effort import Effort
from handmesh_ros.inference.models import files_of
from handmesh_ros.training.data.readers.published import READERS
from handmesh_ros.training.data.shards import ShardDataset
from handmesh_ros.training.evaluation.mediapipe_baseline import MediaPipeBaseline


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
    with plain_errors():
        from handmesh_ros.training.evaluation.evaluate import evaluate, format_table
        from handmesh_ros.training.evaluation.groups import GroupMetrics, format_groups
        from handmesh_ros.training.evaluation.official import evaluate_officially

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

"""`handmesh train-refinement`: train the heads of the network that reads each hand's crop."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from handmesh_ros.common.arguments import count, number
from handmesh_ros.common.imports import plain_errors
from handmesh_ros.common.output_paths import check_place
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.estimator import Estimator
from handmesh_ros.inference.multi_scale import MultiScaleDetector, open_multi_scale
from handmesh_ros.inference.refining import CANDIDATE_SCORE
from handmesh_ros.training.data.shards import shard_files
from handmesh_ros.training.refinement.settings import HEADS, Optimisation, RefinementWeights

if TYPE_CHECKING:
    from handmesh_ros.network.refinement import RefinementNetwork

_SCALED_ON = 4000
"""Crops that the scales of a new head's inputs are measured on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    usual = Optimisation()
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="folders of shards with exact truth"
    )
    parser.add_argument(
        "--photographs",
        type=Path,
        nargs="*",
        default=[],
        help="folders of labelled photographs, of which the part for training is used",
    )
    parser.add_argument(
        "--judge",
        type=Path,
        nargs="*",
        default=[],
        help="folders of shards to judge on at the end",
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder of the run: checkpoints and features"
    )
    parser.add_argument("--features", type=Path, help="folder of the features (OUTPUT/features)")
    parser.add_argument(
        "--init",
        type=Path,
        help="checkpoint to start from (default: the published landmark network, new heads)",
    )
    parser.add_argument("--model", default="mobile", help="network that proposes (%(default)s)")
    parser.add_argument(
        "--views", type=count(), default=1, help="crops around the truth of a hand (%(default)s)"
    )
    parser.add_argument("--steps", type=count(), default=usual.steps, help="in all (%(default)s)")
    parser.add_argument(
        "--batch-size", type=count(8), default=usual.batch_size, help="crops (%(default)s)"
    )
    parser.add_argument(
        "--learning-rate",
        type=number(0, 1),
        default=usual.learning_rate,
        help="greatest (%(default)s)",
    )
    parser.add_argument(
        "--reprojection",
        type=number(0),
        default=RefinementWeights().reprojection,
        help="weight of the loss on where the mesh's joints are seen (%(default)s)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=list(HEADS),
        metavar="NAME",
        help="train parameters whose names start so (%(default)s)",
    )
    parser.add_argument("--max-minutes", type=number(0), help="stop after this long")
    parser.add_argument("--seed", type=count(0), default=0, help="of everything random")


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit code.

    Raises:
        HandmeshError: data are missing or broken, or the output holds another run.
    """
    with plain_errors():
        from handmesh_ros.training.data.composition.photographs import find_sets
        from handmesh_ros.training.refinement.data import (
            CropData,
            load_features,
            reading_of,
            to_batch,
        )
        from handmesh_ros.training.refinement.features import (
            FeatureOptions,
            photograph_features,
            shard_features,
        )
        from handmesh_ros.training.refinement.judge import format_figures, judge
        from handmesh_ros.training.refinement.optimise import BEST, LAST, Run

    for folder in (*args.data, *args.judge):
        shard_files(folder)
    for folder in args.photographs:
        find_sets(folder)
    check_place(args.output / LAST)
    network = start_network(args.init)
    features = args.features or args.output / "features"
    with _finder(args.model) as finder:
        places = (features, network, finder)
        options = FeatureOptions(args.views, seed=args.seed)
        photograph_options = FeatureOptions(light=0.2)
        judge_options = FeatureOptions(views=0, mirror=0, light=0)
        rendered = [f for d in args.data for f in shard_features(d, *places, options, args.model)]
        photographs = [
            file
            for folder in args.photographs
            for file in photograph_features(folder, *places, photograph_options, args.model)
        ]
        judged = {
            folder.resolve().name: shard_features(folder, *places, judge_options, args.model)
            for folder in args.judge
        }
    data = CropData(rendered, photographs)
    if args.init is None:
        network.pose.fit_scales(reading_of(data.some(_SCALED_ON)))
    training = Run(
        network, data, _optimisation(args), RefinementWeights(reprojection=args.reprojection)
    )
    if (args.output / LAST).exists():
        training.resume(args.output / LAST)
    if not training.train(args.output, max_minutes=args.max_minutes):
        print("Stopped before the end: run the same command again to go on.")
        return 0
    best = args.output / BEST
    if judged:
        network = _refinement(best)
        figures = {
            name: judge(network, to_batch(load_features(files))) for name, files in judged.items()
        }
        print(format_figures(figures))
        (args.output / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    print(f"Done: {best}")
    return 0


def start_network(init: Path | None) -> RefinementNetwork:
    """Return the network that training starts from.

    Args:
        init: checkpoint; None for the published landmark network with new heads.

    Raises:
        HandmeshError: the checkpoint cannot be read, or is of another network.
    """
    import torch

    from handmesh_ros.network.refinement import RefinementNetwork

    if init is not None:
        return _refinement(init)
    torch.manual_seed(0)
    network = RefinementNetwork(HandTemplate.bundled())
    network.load_published()
    return network.eval()


def _refinement(path: Path) -> RefinementNetwork:
    from handmesh_ros.network.checkpoint import load_any
    from handmesh_ros.network.refinement import RefinementNetwork

    network = load_any(path)
    if not isinstance(network, RefinementNetwork):
        raise HandmeshError(
            f"{path} is a network for whole images: give a checkpoint that "
            "`handmesh train-refinement` wrote."
        )
    return network


def _optimisation(args: argparse.Namespace) -> Optimisation:
    return Optimisation(
        steps=args.steps,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        only=tuple(args.only),
        seed=args.seed,
    )


@contextmanager
def _finder(model: str) -> Iterator[Estimator | MultiScaleDetector]:
    finder = open_multi_scale(model, None, score_threshold=CANDIDATE_SCORE, threads=1)
    try:
        yield finder
    finally:
        finder.close()

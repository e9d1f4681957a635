"""Option values of `handmesh`: one that cannot work is refused by the parser, with exit code 2."""

from __future__ import annotations

import argparse
from typing import Any

from handmesh_ros.common.arguments import count
from handmesh_ros.inference.backends.selection import BACKEND_NAMES
from handmesh_ros.inference.effort import EFFORT_NAMES, Effort
from handmesh_ros.inference.models import CAMERA_MODEL, DETAIL_MODEL, REFINEMENT_MODEL
from handmesh_ros.inference.opening import Models, open_finder
from handmesh_ros.inference.refining import MAX_REFINED_HANDS, RefiningEstimator


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Declare `--backend`, what the network runs on."""
    parser.add_argument(
        "--backend",
        choices=("auto", *BACKEND_NAMES),
        default="auto",
        metavar="NAME",
        help=f"auto, {', '.join(BACKEND_NAMES)}",
    )


def add_models(parser: argparse.ArgumentParser) -> None:
    """Declare `--model`, `--detail-model` and `--refinement-model`, the networks."""
    names = ", ".join(path.stem for path in (CAMERA_MODEL, DETAIL_MODEL))
    parser.add_argument(
        "--model", metavar="MODEL", help=f".onnx graph, .ckpt checkpoint, or one of {names}"
    )
    parser.add_argument(
        "--detail-model",
        metavar="MODEL",
        help="the same with a larger input, run on every image as well, for small hands",
    )
    parser.add_argument(
        "--refinement-model",
        metavar="MODEL",
        help=f"reads each hand off its own crop of the image ({REFINEMENT_MODEL.stem} "
        "with a bundled model)",
    )


def add_effort(parser: argparse.ArgumentParser, default: str) -> None:
    """Declare `--effort` and `--no-refine`, what is done to find and read hands.

    Args:
        parser: of the command.
        default: what it does if nothing is given, for the help.
    """
    parser.add_argument(
        "--effort",
        choices=EFFORT_NAMES,
        help=f"what is done to find more hands: {', '.join(EFFORT_NAMES)} ({default}); best needs "
        "the refinement network",
    )
    parser.add_argument(
        "--no-refine",
        action="store_true",
        help="the single-stage networks alone, with fast at one input size, else at both",
    )
    parser.add_argument(
        "--max-refined-hands",
        type=count(),
        default=MAX_REFINED_HANDS,
        metavar="N",
        help="in an image; others are those of the single-stage network (%(default)s)",
    )


def open_chosen(args: argparse.Namespace, effort: Effort, **options: Any) -> RefiningEstimator:
    """Load what the options of `add_models`, `add_effort` and `add_backend` name.

    Args:
        args: parsed.
        effort: if none was given.
        options: more of `open_finder`.

    Raises:
        argparse.ArgumentError: options do not go together.
        HandmeshError: a model or the backend cannot be used.
    """
    if args.no_refine and args.effort == Effort.BEST.value:
        raise argparse.ArgumentError(
            None, "--effort best needs the refinement network: give fast or balanced"
        )
    if args.no_refine and args.refinement_model:
        raise argparse.ArgumentError(None, "--no-refine and --refinement-model exclude each other")
    return open_finder(
        chosen_models(args),
        args.backend,
        effort=Effort(args.effort) if args.effort else effort,
        refine=not args.no_refine,
        max_refined_hands=args.max_refined_hands,
        must_refine=bool(args.refinement_model),
        **options,
    )


def chosen_models(args: argparse.Namespace) -> Models:
    """Return the models that the options of `add_models` name."""
    return Models(args.model, args.detail_model, args.refinement_model)

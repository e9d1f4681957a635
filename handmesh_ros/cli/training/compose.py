"""`handmesh compose`: labelled photographs become training shards, cut out and pasted or whole."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from handmesh_ros.common.arguments import count, number
from handmesh_ros.common.imports import plain_errors
from handmesh_ros.training.data.composition.options import CompositeOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `handmesh compose`."""
    usual = CompositeOptions()
    parser.add_argument("output", type=Path, help="folder for the shards")
    parser.add_argument(
        "--sources",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="folders with images/ and labels.json in or below them",
    )
    parser.add_argument("--split", choices=("train", "val", "all"), default="train")
    parser.add_argument("--whole", action="store_true", help="write the photographs as they are")
    parser.add_argument("--count", type=count(), default=1000, help="composites (%(default)s)")
    parser.add_argument("--seed", type=count(0), default=0, help="same seed, same composites")
    parser.add_argument("--first", type=count(0), default=0, help="number of the first composite")
    parser.add_argument(
        "--backgrounds",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="folders of photos without hands; drawn backgrounds where there are none",
    )
    parser.add_argument(
        "--hands",
        type=count(),
        nargs=2,
        default=usual.hands,
        metavar=("MIN", "MAX"),
        help=f"hands in a composite ({usual.hands[0]} {usual.hands[1]})",
    )
    parser.add_argument(
        "--photographs",
        type=number(0, 1),
        default=usual.photograph,
        metavar="SHARE",
        help="share of composites on a whole labelled photograph (%(default)s)",
    )
    parser.add_argument(
        "--size", type=count(32), default=usual.size, metavar="PX", help="side (%(default)s)"
    )
    parser.add_argument("--workers", type=count(), default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--cache", type=Path, help="folder that keeps the cut-outs")


def run(args: argparse.Namespace) -> None:
    """Run `handmesh compose`.

    Raises:
        argparse.ArgumentError: the fewest hands are more than the most.
        HandmeshError: a folder holds no labels, or the output cannot be written or holds others.
    """
    with plain_errors():
        from handmesh_ros.training.data.composition.prepare import compose, store_photographs

    if args.hands[0] > args.hands[1]:
        raise argparse.ArgumentError(None, "--hands takes the fewest and then the most hands")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.whole:
        count = store_photographs(args.output, args.sources, args.split)
        print(f"Wrote {count} photographs into {args.output}.")
        return
    made = compose(
        args.output,
        args.count,
        seed=args.seed,
        sources=args.sources,
        backgrounds=args.backgrounds,
        split=args.split,
        options=CompositeOptions(
            size=args.size, hands=tuple(args.hands), photograph=args.photographs
        ),
        cache=args.cache,
        first=args.first,
        workers=args.workers,
    )
    kept = f", where {args.count - made} were already" if made < args.count else ""
    print(f"Wrote {made} composites into {args.output}{kept}.")

"""`handmesh synthesize`: write rendered training samples as tar shards."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from handmesh_ros.common.arguments import count
from handmesh_ros.common.output_paths import check_place
from handmesh_ros.training.synthesis.generate import (
    OMITTABLE,
    SAMPLES_PER_SHARD,
    SampleMaker,
    synthesize,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `handmesh synthesize`."""
    parser.add_argument("output", type=Path, help="folder for the shards")
    parser.add_argument("--count", type=count(), default=1000, help="number of images")
    parser.add_argument("--seed", type=count(0), default=0, help="same seed, same images")
    parser.add_argument(
        "--size",
        type=count(32),
        nargs="+",
        default=[320],
        metavar="PX",
        help="side, or width height",
    )
    parser.add_argument("--skins", type=Path, help="folder of hand skin textures")
    parser.add_argument(
        "--backgrounds", type=Path, nargs="+", default=[], help="folders of photos without hands"
    )
    parser.add_argument("--workers", type=count(), default=os.cpu_count() or 1, help="processes")
    parser.add_argument(
        "--without",
        choices=OMITTABLE,
        nargs="+",
        default=[],
        help="leave this out of the scenes, which stay the same otherwise",
    )
    parser.add_argument("--contact-sheet", type=Path, help="draw samples with truth into a PNG")


def run(args: argparse.Namespace) -> int:
    """Run `handmesh synthesize`."""
    if len(args.size) > 2:
        raise argparse.ArgumentError(None, "--size takes a side, or a width and a height")
    size = (args.size[0], args.size[-1])
    if args.contact_sheet:
        from handmesh_ros.training.synthesis.contact_sheet import write_contact_sheet

        check_place(args.contact_sheet)
        maker = SampleMaker(args.seed, size, args.skins, args.backgrounds, args.without)
        samples = [maker.make(index) for index in range(min(args.count, 48))]
        write_contact_sheet(args.contact_sheet, samples)
        print(f"{len(samples)} samples drawn into {args.contact_sheet}")
        return 0
    start = time.monotonic()
    options = (args.seed, size, args.skins, args.backgrounds, args.workers, args.without)
    progress = synthesize(args.output, args.count, *options)
    kept = next(progress)
    if kept:
        print(f"{kept} of {args.count} images are in {args.output} already", flush=True)
    for done in progress:
        if done % SAMPLES_PER_SHARD == 0 or done == args.count:
            rate = (done - kept) / (time.monotonic() - start)
            print(f"{done} of {args.count} images, {rate:.1f}/s", flush=True)
    return 0

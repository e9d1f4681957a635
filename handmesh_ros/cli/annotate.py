"""`handmesh annotate`: hands of many videos as Parquet tables, with ids, resumable."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from handmesh_ros.annotate.plan import LEAST_SEGMENT_S, find_videos
from handmesh_ros.annotate.run import annotate
from handmesh_ros.annotate.worker import Settings
from handmesh_ros.cli.arguments import add_backend, add_models, chosen_models
from handmesh_ros.cli.detect import parse_fov, parse_intrinsics
from handmesh_ros.common.arguments import checked, count, number
from handmesh_ros.inference.preprocess import ASSUMED_FOV_DEG
from handmesh_ros.media.sources import quiet_decoders


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `handmesh annotate`."""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="video, folder, glob, or .txt with a path a line",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="of the run")
    parser.add_argument("--workers", type=count(), default=1, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--segment-seconds",
        type=number(LEAST_SEGMENT_S),
        default=60.0,
        metavar="S",
        help="length of what a worker takes at a time (%(default)s)",
    )
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument(
        "--intrinsics",
        type=checked(parse_intrinsics),
        metavar="FX,FY,CX,CY",
        help="of the camera, in pixels of the upright image",
    )
    camera.add_argument(
        "--fov",
        type=checked(parse_fov),
        default=ASSUMED_FOV_DEG,
        metavar="DEG",
        help="field of view across the longer image side (%(default)g degrees)",
    )
    parser.add_argument("--mesh", action="store_true", help="vertices and colours, too")
    add_models(parser)
    add_backend(parser)


def run(args: argparse.Namespace) -> int:
    """Run `handmesh annotate`; 1 if some video could not be used to its end, else 0.

    Raises:
        HandmeshError: there is nothing to do, or it cannot be done; what is complete is kept.
    """
    quiet_decoders()
    videos = find_videos(args.inputs)
    cores = len(os.sched_getaffinity(0))
    settings = Settings(
        output=args.output,
        models=chosen_models(args),
        backend=args.backend,
        intrinsics=None if args.intrinsics is None else tuple(args.intrinsics.tolist()),
        fov_deg=args.fov,
        mesh=args.mesh,
        threads=max(1, cores // args.workers),
    )
    summary = annotate(videos, settings, segment_s=args.segment_seconds, workers=args.workers)
    for path, sentence in summary.errors:
        print(f"{path}: {sentence}")
    print(
        f"{args.output}: {summary.videos} videos, {summary.frames} frames, {summary.hands} hands, "
        f"{len(summary.errors)} errors"
    )
    return 1 if summary.errors else 0

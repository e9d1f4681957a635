"""`handmesh quantize`: an exported graph with its convolutions in int8, and its sidecar."""

from __future__ import annotations

import argparse
from pathlib import Path

from handmesh_ros.common.arguments import count, number
from handmesh_ros.common.imports import plain_errors
from handmesh_ros.common.output_paths import Originals, check_place
from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.sidecar import Sidecar
from handmesh_ros.media.sources import quiet_decoders
from handmesh_ros.network.contract import CROPS
from handmesh_ros.training.export.settings import SENSITIVE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("model", type=Path, help="float32 .onnx, its sidecar beside it")
    parser.add_argument("output", type=Path, help=".onnx file to write; the sidecar goes beside")
    parser.add_argument(
        "--calibration",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="training shards or photos like those that the network will see",
    )
    parser.add_argument("--images", type=count(), default=100, help="at most (%(default)s)")
    parser.add_argument(
        "--sensitive",
        type=number(0),
        default=SENSITIVE,
        help="convolutions that alone move keypoints further stay float32, share of the hand's "
        "size (%(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        HandmeshError: the model or the images cannot be used.
    """
    with plain_errors():
        from handmesh_ros.inference.backends.onnxruntime import OnnxRuntimeBackend
        from handmesh_ros.training.export.quantize import calibration_feeds, quantize

    if args.output.suffix != ".onnx":
        raise HandmeshError(f"The output {args.output} must end with .onnx.")
    Originals([args.model]).check(args.output)
    check_place(args.output)
    quiet_decoders()
    sidecar = Sidecar.read(args.model.with_suffix(".json"))
    feeds = calibration_feeds(args.calibration, sidecar, args.images)
    found = quantize(
        args.model,
        args.output,
        feeds,
        calibration_name=args.calibration.name,
        sensitive=args.sensitive,
    )
    backend = OnnxRuntimeBackend(args.output, cuda=False)  # It loads and keeps the contract.
    backend.close()
    option = "--refinement-model" if sidecar.takes == CROPS else "--model"
    print(
        f"{args.output} ({args.output.stat().st_size / 1e6:.1f} MB) and its sidecar are written; "
        f"from float32 on the first calibration images: {found}. Measure its accuracy with "
        f"`handmesh evaluate {option} {args.output}`."
    )

"""`handmesh export`: a training checkpoint becomes one ONNX graph and its sidecar, or weights."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from handmesh_ros import __version__
from handmesh_ros.common.arguments import checked, number
from handmesh_ros.common.imports import plain_errors
from handmesh_ros.common.output_paths import Originals, check_place
from handmesh_ros.errors import HandmeshError
from handmesh_ros.network.contract import PRECISIONS
from handmesh_ros.training.export.settings import OPSETS


def parse_input_size(text: str) -> tuple[int, int]:
    """Return (height, width) of "SIDE" or "WIDTHxHEIGHT", pixels.

    Raises:
        HandmeshError: it is neither.
    """
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdigit() for side in sides):
        raise HandmeshError(
            f"The input size {text!r} is neither a number of pixels nor WIDTHxHEIGHT: write it "
            "like 320 or 384x288."
        )
    return int(sides[-1]), int(sides[0])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("checkpoint", type=Path, help=".ckpt file that `handmesh train` wrote")
    parser.add_argument(
        "output",
        type=Path,
        help=".onnx file, the sidecar goes beside; or .ckpt for the weights alone, in float16",
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="float32", help="float16 is for GPUs"
    )
    parser.add_argument(
        "--opset",
        type=int,
        choices=OPSETS,
        default=OPSETS[-1],
        help="ONNX operator set; 17 is for TensorRT 8 (%(default)s)",
    )
    parser.add_argument(
        "--input-size",
        type=checked(parse_input_size),
        metavar="PX",
        help="side of the input image, or WIDTHxHEIGHT, multiples of 32: smaller is faster, "
        "larger finds smaller hands (that of training)",
    )
    parser.add_argument(
        "--mean-with",
        type=Path,
        nargs="+",
        default=[],
        metavar="CKPT",
        help="write the mean of these weights and the checkpoint's (to a .ckpt only)",
    )
    parser.add_argument("--model-id", help="name and version (default: the file's name)")
    parser.add_argument(
        "--threshold", type=number(0, 1), default=0.3, help="default score threshold"
    )
    parser.add_argument("--training-data", nargs="*", default=[], help="names of the data sets")
    parser.add_argument("--metrics", type=Path, help="JSON file of `handmesh evaluate --json`")
    parser.add_argument("--licence", default="Apache-2.0", help="licence of the weights")
    parser.add_argument("--provenance", default="", help="how the weights were made")


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    with plain_errors():
        from handmesh_ros.network.checkpoint import load_any, save_weights
        from handmesh_ros.training.export.export import export

    if args.output.suffix not in (".onnx", ".ckpt"):
        raise HandmeshError(f"The output {args.output} must end with .onnx or .ckpt.")
    if args.mean_with and args.output.suffix != ".ckpt":
        raise HandmeshError(
            f"--mean-with writes weights, not {args.output}: give a .ckpt, and export that."
        )
    Originals([args.checkpoint, *args.mean_with]).check(args.output)
    check_place(args.output)
    if args.output.suffix == ".ckpt":
        save_weights(args.checkpoint, args.output, args.input_size, args.mean_with)
        print(f"{args.output} ({args.output.stat().st_size / 1e6:.1f} MB) is written.")
        return 0
    try:
        metrics = json.loads(args.metrics.read_text(encoding="utf-8")) if args.metrics else {}
    except (OSError, ValueError) as error:
        raise HandmeshError(
            f"Cannot read the metrics {args.metrics} ({error}): give the file that "
            "`handmesh evaluate --json` wrote."
        ) from error
    path = export(
        load_any(args.checkpoint, args.input_size),
        args.output,
        model_id=args.model_id or f"{args.output.stem}-{__version__}",
        score_threshold=args.threshold,
        training_data=tuple(args.training_data),
        metrics=metrics,
        licence=args.licence,
        provenance=args.provenance,
        precision=args.precision,
        opset=args.opset,
    )
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB) and its sidecar are written.")
    return 0

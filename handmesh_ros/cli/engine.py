"""`handmesh engine build | verify`: engines of TensorRT and TensorRT-RTX."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.onnxruntime import OnnxRuntimeBackend
from handmesh_ros.inference.backends.parity import REDUCED_LIMIT, compare
from handmesh_ros.inference.backends.selection import AUTO_ORDER
from handmesh_ros.inference.backends.tensorrt.backend import TensorRtBackend, build_only
from handmesh_ros.inference.models import CAMERA_MODEL, find_model

ACTIONS = {
    "build": "build the engine now instead of at the first start",
    "verify": "compare the engine with ONNX Runtime, and refuse it if it drifts",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `handmesh engine`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action, text in ACTIONS.items():
        subparser = actions.add_parser(action, help=text, description=text)
        subparser.add_argument(
            "model",
            nargs="?",
            default=CAMERA_MODEL,
            type=find_model,
            help=f".onnx, or the name of a bundled model ({CAMERA_MODEL.stem})",
        )
        subparser.add_argument(
            "--backend", choices=AUTO_ORDER[:-1], default=AUTO_ORDER[0], help="(%(default)s)"
        )
        subparser.add_argument("--cache", type=Path, help="directory of the engines")
        if action == "build":
            subparser.add_argument("--force", action="store_true", help="even if there is one")


def run(args: argparse.Namespace) -> None:
    """Build or verify.

    Raises:
        HandmeshError: the engine cannot be built, kept or run, or it drifts.
    """
    if not args.model.is_file():
        raise HandmeshError(
            f"There is no model at {args.model}: give the path of an exported .onnx file."
        )
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.action == "build":
        path = build_only(args.model, args.backend, args.cache, force=args.force)
        print(f"{path} ({path.stat().st_size / 1e6:.1f} MB) is ready.")
    else:
        verify(args.model, args.backend, args.cache)


def verify(model: Path, library: str, cache: Path | None = None) -> None:
    """Compare an engine with ONNX Runtime on fixed images and print the result.

    An engine that drifts is marked in the cache: no program of handmesh_ros loads it again.

    Raises:
        HandmeshError: the engine cannot be run, or it drifts.
    """
    engine = TensorRtBackend(model, library=library, cache=cache)
    reference = OnnxRuntimeBackend(model, cuda=False)
    try:
        found = compare(engine, reference)
        if not found.within(REDUCED_LIMIT):
            engine.refuse(str(found))
            raise HandmeshError(
                f"The engine of {model} on {engine.name} differs from {reference.name} ({found}) "
                f"and is refused: build it again with `handmesh engine build --force`, or choose "
                f"the backend onnxruntime."
            )
        print(f"{engine.name} agrees with {reference.name}: {found}.")
    finally:
        engine.close()
        reference.close()

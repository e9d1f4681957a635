"""`handmesh bench`: how long preprocessing, the network and decoding take."""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.runtime.estimator import BUNDLED_MODEL, Estimator

STAGES = ("preprocess_ms", "inference_ms", "decode_ms", "total_ms")
PERCENTILES = (50, 95, 99)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `handmesh bench`."""
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help=".onnx graphs and .ckpt checkpoints to compare (the bundled model)",
    )
    parser.add_argument("--image", metavar="FILE", help="photo to run on instead of noise")
    parser.add_argument(
        "--size", default="640x480", metavar="WxH", help="of the noise image (%(default)s)"
    )
    parser.add_argument("--repeat", type=int, default=100, help="timed runs (%(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads inside one run")
    parser.add_argument("--json", metavar="FILE", help="write the numbers as JSON")


def run(args: argparse.Namespace) -> None:
    """Run `handmesh bench` and print a table.

    On noise every output slot is decoded, the worst case; on a photo the hands in it.

    Raises:
        HandmeshError: an argument or a model cannot be used.
    """
    if args.repeat < 1 or (args.threads is not None and args.threads < 1):
        raise HandmeshError("The numbers of runs and of threads must be at least 1.")
    if args.image is None:
        width, height = _parse_size(args.size)
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    else:
        from handmesh_ros.commands.frames import read_photo

        image = read_photo(Path(args.image))
    results = []
    for model in args.models or [BUNDLED_MODEL]:
        estimator = Estimator.from_file(
            model, score_threshold=0.0 if args.image is None else None, threads=args.threads
        )
        results.append(measure(estimator, image, args.repeat))
        estimator.close()
    _print_table(results, image)
    if args.json is not None:
        machine = {"processor": _processor(), "cores": os.cpu_count()}
        content = {"image": list(image.shape), "machine": machine, "results": results}
        try:
            Path(args.json).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise HandmeshError(
                f"Cannot write {args.json} ({error.strerror}): give a place that you can write to."
            ) from error


def measure(estimator: Estimator, image: np.ndarray, repeat: int) -> dict[str, Any]:
    """Time an estimator.

    Args:
        estimator: to be timed, already warm.
        image: (H, W, 3) uint8 RGB.
        repeat: number of timed calls.

    Returns:
        `model_id`, `backend`, `hands` (found in the last call), `repeat`, and per stage of
        `STAGES` its percentiles as {"p50": ms, "p95": ms, "p99": ms}.
    """
    samples: dict[str, list[float]] = {stage: [] for stage in STAGES}
    hand_count = 0
    for _ in range(repeat):
        hand_count = len(estimator(image))
        timings = {**asdict(estimator.timings), "total_ms": estimator.timings.total_ms}
        for stage in STAGES:
            samples[stage].append(timings[stage])
    result: dict[str, Any] = {
        "model_id": estimator.model_id,
        "backend": estimator.backend.name,
        "hands": hand_count,
        "repeat": repeat,
    }
    for stage, values in samples.items():
        percentiles = np.percentile(values, PERCENTILES).round(3).tolist()
        result[stage] = {f"p{p}": ms for p, ms in zip(PERCENTILES, percentiles, strict=True)}
    return result


def _print_table(results: list[dict[str, Any]], image: np.ndarray) -> None:
    height, width = image.shape[:2]
    print(f"{width}×{height} image, {_processor()}, {os.cpu_count()} cores; milliseconds")
    for result in results:
        print(f"\n{result['model_id']}, {result['backend']}, {result['hands']} hands decoded")
        print(f"  {'stage':<12}" + "".join(f"{f'p{p}':>9}" for p in PERCENTILES))
        for stage in STAGES:
            name = stage.removesuffix("_ms")
            print(f"  {name:<12}" + "".join(f"{ms:9.2f}" for ms in result[stage].values()))


def _parse_size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise HandmeshError(
            f"The size {text!r} is not WIDTHxHEIGHT: write it like 640x480."
        ) from error
    if min(width, height) < 1:
        raise HandmeshError(f"The size {text!r} has no pixels: write it like 640x480.")
    return width, height


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

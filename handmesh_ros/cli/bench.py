"""`handmesh bench`: how long each stage takes, models and backends side by side in one run."""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from handmesh_ros.bench.contestant import MEDIAPIPE_WORKER, Contestant
from handmesh_ros.bench.measure import measure, print_table
from handmesh_ros.bench.scenes import Scene, clip_scene, video_scene
from handmesh_ros.bench.worker import ALONE, BOTH
from handmesh_ros.common.arguments import checked, count
from handmesh_ros.common.child_processes import run_module
from handmesh_ros.common.output_paths import Originals, cannot_write, check_place
from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.cpu_choice import processor
from handmesh_ros.inference.backends.selection import BACKEND_NAMES, check_name, module_of
from handmesh_ros.inference.effort import EFFORT_NAMES, Effort
from handmesh_ros.inference.models import files_of, find_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `handmesh bench`."""
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help=".onnx graphs, and .ckpt checkpoints for PyTorch (the bundled model)",
    )
    parser.add_argument(
        "--backends",
        type=checked(_parse_backends),
        default="auto",
        metavar="NAMES",
        help=f"with commas: auto, {', '.join(BACKEND_NAMES)}; or all that are installed",
    )
    parser.add_argument(
        "--efforts",
        type=checked(_parse_efforts),
        metavar="NAMES",
        help=f"with commas: {ALONE} (the single-stage network), {BOTH} (at both input sizes), "
        f"{', '.join(EFFORT_NAMES)} ({ALONE},{Effort.FAST.value} of the bundled model, "
        f"{ALONE} of others)",
    )
    parser.add_argument(
        "--mediapipe", metavar="PYTHON", help="an interpreter that has mediapipe, to compare with"
    )
    parser.add_argument(
        "--hands",
        type=checked(_parse_counts),
        default="2",
        metavar="N,…",
        help="numbers of hands shown (%(default)s)",
    )
    parser.add_argument(
        "--sizes",
        type=checked(_parse_sizes),
        default="640x480",
        metavar="WxH,…",
        help="image sizes (%(default)s); --hands varies at the first one",
    )
    parser.add_argument("--image", metavar="FILE", help="photo to run on instead, as it is")
    parser.add_argument(
        "--video", action="store_true", help="a clip, too, whose hands may be followed"
    )
    parser.add_argument("--repeat", type=count(), default=100, help="timed runs (%(default)s)")
    parser.add_argument("--threads", type=count(), help="CPU threads inside one run")
    parser.add_argument("--json", metavar="FILE", help="write the numbers as JSON")
    parser.add_argument("--plot", metavar="FILE", help="draw the totals as a PNG")


def run(args: argparse.Namespace) -> None:
    """Run `handmesh bench` and print a table.

    Raises:
        HandmeshError: a file cannot be read or written, or none of the contestants starts.
    """
    scenes = _scenes(args)
    originals = Originals([*files_of(args.models), *([Path(args.image)] if args.image else [])])
    for target in filter(None, (args.json, args.plot)):
        originals.check(Path(target))
        check_place(Path(target))
    with ExitStack() as stack:
        contestants = []
        for title, command in _commands(args):
            try:
                contestants.append(Contestant(title, command, _environment(title)))
            except HandmeshError as error:
                print(f"handmesh: {error}", file=sys.stderr)
                continue
            stack.callback(contestants[-1].close)
        if not contestants:
            raise HandmeshError("Nothing could be measured: see the lines above.")
        results = measure(contestants, scenes, args.repeat)
    report = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count()},
        "load_average": os.getloadavg()[0],
        "repeat": args.repeat,
        "threads": args.threads,
        "results": results,
    }
    print_table(report)
    if args.json is not None:
        try:
            Path(args.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise cannot_write(Path(args.json), error) from error
    if args.plot is not None:
        from handmesh_ros.bench.plot import write_plot

        write_plot(report, args.plot)


def _commands(args: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Yield the title and the command line of each contestant."""
    for model in args.models or [""]:
        efforts = args.efforts or [ALONE, *([] if model else [Effort.FAST.value])]
        for name in ["torch"] if model.endswith(".ckpt") else args.backends:
            command = run_module("handmesh_ros.bench.worker")
            title = f"{find_model(model).name} on {name}"
            for effort in efforts:
                options = [model, name, str(args.threads or 0), effort]
                yield title if effort == ALONE else f"{title}, {effort}", [*command, *options]
    if args.mediapipe is not None:
        worker = MEDIAPIPE_WORKER
        yield "MediaPipe", [args.mediapipe, "-I", str(worker)]


def _environment(title: str) -> dict[str, str] | None:
    """Return the environment of a contestant: ours finds the package that runs now."""
    if title == "MediaPipe":
        return None
    here = ("", os.getcwd())
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p not in here)}


def _scenes(args: argparse.Namespace) -> list[Scene]:
    if args.image is not None:
        from handmesh_ros.media.photos import read_photo
        from handmesh_ros.media.sources import quiet_decoders

        quiet_decoders()
        return [Scene(read_photo(Path(args.image)), None)]
    scenes = [clip_scene(hands, *args.sizes[0]) for hands in args.hands]
    scenes += [clip_scene(args.hands[0], *size) for size in args.sizes[1:]]
    return [*scenes, *([video_scene(*args.sizes[0])] if args.video else [])]


def _parse_backends(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if names == ["all"]:
        names = [name for name in BACKEND_NAMES if importlib.util.find_spec(module_of(name))]
        return [name for name in names if name not in ("torch", "openvino_bf16")]
    for name in names:
        check_name(name)
    return names


def _parse_efforts(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in (ALONE, BOTH, *EFFORT_NAMES):
            raise HandmeshError(
                f"There is no effort {name!r}: give {', '.join((ALONE, BOTH, *EFFORT_NAMES))}."
            )
    return names


def _parse_counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1 or max(counts) > 10:
        raise HandmeshError(
            f"The numbers of hands {text!r} are not possible: write them like 1,2,10, at most 10."
        )
    return counts


def _parse_sizes(text: str) -> list[tuple[int, int]]:
    return [_parse_size(part) for part in text.split(",")]


def _parse_size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise HandmeshError(
            f"The size {text!r} is not WIDTHxHEIGHT: write it like 640x480."
        ) from error
    if min(width, height) < 16 or max(width, height) > 16384:
        raise HandmeshError(
            f"The size {text!r} is not possible: give 16 to 16384 pixels, like 640x480."
        )
    return width, height

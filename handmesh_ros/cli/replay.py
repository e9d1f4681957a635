"""`handmesh replay`: the node's processing over a recorded bag, offline, the same each time."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path

from handmesh_ros.common.arguments import checked, namespace, number
from handmesh_ros.common.home import expand
from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.__main__ import explain
from handmesh_ros.ros.calibration.lengths_file import length_parameter, read_lengths
from handmesh_ros.ros.parameters.parameter_file import parse_override, read_parameters
from handmesh_ros.ros.parameters.schema import FOV_RANGE_DEG, Parameters

PROGRESS_PERIOD_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `handmesh replay`."""
    parser.add_argument("bag", type=Path, help="rosbag2 folder, .mcap or .db3")
    parser.add_argument("--out", type=Path, help="folder of the new bag (BAG_hands)")
    parser.add_argument("--image", metavar="TOPIC", help="needed where the bag has several")
    parser.add_argument("--camera-info", metavar="TOPIC", help="(the one beside the image)")
    parser.add_argument("--depth", metavar="TOPIC", help="aligned with the image; turns depth on")
    parser.add_argument(
        "--fov",
        type=number(*FOV_RANGE_DEG),
        metavar="DEG",
        help="field of view, for a bag without CameraInfo",
    )
    parser.add_argument("--params-file", type=Path, metavar="FILE", help="as the node takes it")
    parser.add_argument(
        *("-p", "--param"),
        action="append",
        type=checked(parse_override),
        default=[],
        metavar="NAME:=VALUE",
        help="one of the node's parameters",
    )
    parser.add_argument(
        "--namespace", type=checked(namespace), default="", help="of the result topics"
    )
    parser.add_argument(
        "--storage", choices=("mcap", "sqlite3"), default="mcap", help="(%(default)s)"
    )


def run(args: argparse.Namespace) -> None:
    """Run `handmesh replay`.

    Raises:
        argparse.ArgumentError: depth is on and its topic is not given.
        HandmeshError: ROS 2, the bag, the parameter file or the place to write to cannot be used.
    """
    try:
        from handmesh_ros.ros.bag.bags import BagReader, BagWriter
        from handmesh_ros.ros.bag.replay import Replay, Topics
        from handmesh_ros.ros.node import load_estimator
    except ImportError as error:
        if (error.name or "").partition(".")[0] in ("rosbags", "mcap", "zstandard", "lz4"):
            raise
        raise HandmeshError(explain(error)) from error
    parameters = read_parameters(args.params_file, args.param)
    if parameters.use_depth and args.depth is None:
        message = "use_depth is on: name the depth topic of the bag with --depth"
        raise argparse.ArgumentError(None, message)
    parameters = parameters.replaced({"use_depth": args.depth is not None})
    if args.fov is not None:
        parameters = parameters.replaced({"assumed_fov_deg": args.fov})
    parameters = parameters.replaced(_stored_lengths(parameters))
    out = args.out or _beside(args.bag)
    progress = _Progress()
    with contextlib.ExitStack() as stack:
        bag = stack.enter_context(BagReader(args.bag))
        topics = Topics.find(
            bag,
            image=args.image,
            camera_info=args.camera_info,
            depth=args.depth,
            fov_is_known=args.fov is not None,
        )
        results = stack.enter_context(BagWriter(out, args.storage))
        must_refine = parameters.refine_hands and bool(parameters.refinement_model)
        opened = load_estimator(parameters, must_refine=must_refine)
        estimator = stack.enter_context(contextlib.closing(opened))
        stack.callback(progress.clear)
        start_s, duration_s = time.monotonic(), bag.duration_s
        replay = Replay(estimator, parameters, progress.say)
        summary = replay.run(bag, topics, results, args.namespace, progress)
    took_s = time.monotonic() - start_s
    failed = f" ({summary.failed} could not be used)" if summary.failed else ""
    print(
        f"{out}: {summary.images} images{failed}, {summary.hands} hands, {summary.tracks} tracks, "
        f"{took_s:.1f} s for {duration_s:.1f} s recorded"
    )


def _stored_lengths(parameters: Parameters) -> dict[str, float]:
    """Return the lengths in the calibration file, if one is named, that are not given otherwise.

    The user's own file does not count: results must not depend on who replays the bag.

    Raises:
        HandmeshError: the file is missing or damaged.
    """
    if not parameters.calibration_file:
        return {}
    path = expand(parameters.calibration_file)
    if not path.is_file():
        raise HandmeshError(f"The calibration_file {path} does not exist: give one that does.")
    stored = {length_parameter(side): length for side, length in read_lengths(path).items()}
    return {name: value for name, value in stored.items() if not getattr(parameters, name)}


def _beside(bag: Path) -> Path:
    """Return the place for the results of a bag: BAG_hands, also where BAG is `.` or `..`."""
    named = bag if bag.name not in ("", "..") else bag.resolve()
    return named.with_name(f"{named.name if named.is_dir() else named.stem}_hands")


class _Progress:
    """One line that rewrites itself on a terminal; elsewhere nothing."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._start_s, self._shown_s = time.monotonic(), float("-inf")

    def __call__(self, done: int, total: int) -> None:
        now_s = time.monotonic()
        if self._is_terminal and now_s - self._shown_s >= PROGRESS_PERIOD_S:
            self._shown_s = now_s
            rate_hz = done / max(now_s - self._start_s, 1e-3)
            print(
                f"\r\033[K{done} of {total} images, {rate_hz:.0f} a second",
                end="",
                file=sys.stderr,
                flush=True,
            )

    def say(self, text: str) -> None:
        self.clear()
        print(f"handmesh: {text}", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

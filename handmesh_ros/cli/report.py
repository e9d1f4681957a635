"""`handmesh report`: one HTML page of the hands found, in 2D and 3D, and of how good they are."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from handmesh_ros.cli.arguments import chosen_models
from handmesh_ros.cli.detect import (
    Detection,
    Input,
    add_detection_arguments,
    open_estimators,
    originals_of,
)
from handmesh_ros.common.arguments import count
from handmesh_ros.common.output_paths import cannot_write, check_place
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.effort import Effort
from handmesh_ros.inference.opening import Models, open_finder
from handmesh_ros.media.sources import Source, quiet_decoders
from handmesh_ros.media.videos import video_name
from handmesh_ros.report.collector import (
    PICTURES,
    Comparison,
    ReportCollector,
    default_title,
)
from handmesh_ros.report.page import write_page
from handmesh_ros.report.truth import Truth
from handmesh_ros.training.evaluation.mediapipe_baseline import MediaPipeBaseline

MEDIAPIPE = "mediapipe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `handmesh report`."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="photo, video, or folder of them")
    parser.add_argument(
        "--output", type=Path, default=Path("report.html"), metavar="FILE", help="(%(default)s)"
    )
    parser.add_argument(
        "--truth",
        type=Path,
        metavar="FILE",
        help="labels of the photographs: hands.json of `handmesh label`, or COCO's format",
    )
    parser.add_argument(
        "--compare",
        metavar="MODEL",
        help=f"another model that looks at the same images, or {MEDIAPIPE}",
    )
    parser.add_argument(
        "--mediapipe",
        default=sys.executable,
        metavar="PYTHON",
        help=f"an interpreter that has mediapipe==0.10.21, for --compare {MEDIAPIPE} (this one)",
    )
    parser.add_argument(
        "--pictures",
        type=count(),
        default=PICTURES,
        metavar="N",
        help="images that the page shows, the worst; all count in its figures (%(default)s)",
    )
    parser.add_argument("--title", help="of the page (made of the inputs' names)")
    add_detection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run `handmesh report`; 1 if some file could not be used, else 0.

    Raises:
        HandmeshError: a model, the truth or the place to write to cannot be used, or no image
            could be read.
    """
    quiet_decoders()
    inputs = [Input.find(Path(path)) for path in args.paths]
    sources = [source for one in inputs for source in one.sources]
    originals_of(args, inputs).check(args.output)
    truth = None
    if args.truth is not None:
        truth = Truth(args.truth)
        truth.check(sources)
        if args.output.exists() and args.output.samefile(args.truth):
            raise HandmeshError(f"--output {args.output} is the truth file: give another place.")
    check_place(args.output)
    started_s = time.monotonic()
    with contextlib.ExitStack() as stack:
        estimators = open_estimators(args, inputs)
        comparison = _open_comparison(args, stack) if args.compare else None
        collector = ReportCollector(
            sum(map(_image_count, sources)), args.pictures, truth, comparison
        )
        detection = Detection.of(args, estimators, outputs=[collector])
        detection.run(inputs)
    if not collector.images:
        raise HandmeshError(f"No image could be read, so {args.output} is not written.")
    estimator = list(estimators.values())[-1]
    facts = {
        "model": estimator.model_id,
        "effort": " + ".join(effort.value for effort in estimators),
        "runs on": estimator.backend.name,
        "score threshold": f"{estimator.score_threshold:g}",
    }
    if truth is not None:
        facts["truth"] = args.truth.name
    if comparison is not None:
        facts["compared with"] = comparison.name
    title = args.title or default_title(args.paths)
    try:
        write_page(args.output, collector.data(title, facts), collector.kept())
    except OSError as error:
        raise cannot_write(args.output, error) from error
    print(
        f"{args.output} ({args.output.stat().st_size / 1e6:.1f} MB, {collector.images} images, "
        f"{time.monotonic() - started_s:.0f} s): open it in a browser."
    )
    return 1 if detection.failures else 0


def _image_count(source: Source) -> int:
    """Return about how many images a source has."""
    if not source.is_video:
        return 1
    capture = cv2.VideoCapture(video_name(source.path))
    frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    capture.release()
    return int(frames) if 0 < frames < 1e7 else 1000


def _open_comparison(args: argparse.Namespace, stack: contextlib.ExitStack) -> Comparison:
    """Open the other method.

    Raises:
        HandmeshError: it cannot be used.
    """
    if args.compare == MEDIAPIPE:
        baseline = MediaPipeBaseline(args.mediapipe)
        stack.callback(baseline.close)

        def find(image: np.ndarray, intrinsics: np.ndarray) -> tuple[Hands, float]:
            start_s = time.perf_counter()
            return baseline.detect(image, intrinsics), 1000 * (time.perf_counter() - start_s)

        return Comparison("MediaPipe", find)
    chosen = chosen_models(args)
    if args.compare in (chosen.model, None):
        raise HandmeshError(f"--compare {args.compare} is the model itself: name another one.")
    other = open_finder(
        Models(args.compare),
        args.backend,
        effort=Effort(args.effort) if args.effort else Effort.FAST,
        refine=not args.no_refine,
    )
    stack.callback(other.close)

    def find_other(image: np.ndarray, intrinsics: np.ndarray) -> tuple[Hands, float]:
        hands = other.detect(image, intrinsics)
        return hands, other.timings.total_ms

    return Comparison(Path(args.compare).stem, find_other)

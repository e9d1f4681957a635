"""`handmesh label --teacher`: labels for photographs and videos, made by our own networks."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import sys
import time
from collections.abc import Container, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np

from handmesh_ros.cli.arguments import add_backend
from handmesh_ros.common.arguments import count, number
from handmesh_ros.common.files import write_whole
from handmesh_ros.common.output_paths import Originals, check_place
from handmesh_ros.common.progress import progress
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.opening import open_teacher
from handmesh_ros.inference.teacher import Proposer, Teacher
from handmesh_ros.media.photos import read_photo
from handmesh_ros.media.sources import Source, find_sources, quiet_decoders, read_frames
from handmesh_ros.training.data.readers.hand_labels import (
    FRAMES_FOLDER,
    LabelledImage,
    read_labelled_images,
    write_hand_labels,
)
from handmesh_ros.training.data.readers.teacher_labels import LOOSE, STRICT, label_findings
from handmesh_ros.training.evaluation.mediapipe_baseline import MediaPipeBaseline

EVERY = 15
"""Of so many frames of a video the first is labelled."""

MEDIAPIPE_SCORE = 0.5
"""Counts as the score of what MediaPipe finds: it tells that of the side only."""

SAVED_AFTER_S = 60.0
"""The labels are written at least so often, so that an interruption costs no more."""

_JPEG_QUALITY = 95
_OPTIONS = ("strict", "loose", "every", "mediapipe")
_log = logging.getLogger(__name__)


def add_teacher_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `--teacher` and the options that go with it."""
    group = parser.add_argument_group("labels by our own networks")
    group.add_argument(
        "--teacher",
        action="store_true",
        help="label photographs and videos with our networks at any cost instead of MediaPipe",
    )
    group.add_argument(
        "--strict",
        type=number(0, 1),
        metavar="P",
        help=f"hands from this score on are labelled ({STRICT:g})",
    )
    group.add_argument(
        "--loose",
        type=number(0, 1),
        metavar="P",
        help=f"those from this score on are to be ignored, others are background ({LOOSE:g})",
    )
    group.add_argument(
        "--every",
        type=count(),
        metavar="N",
        help=f"label every N-th frame of a video ({EVERY})",
    )
    group.add_argument(
        "--mediapipe",
        metavar="PYTHON",
        help="an interpreter that has mediapipe, which finds more places to look at (this one, "
        "where it has it)",
    )
    add_backend(parser)


def check_teacher_arguments(args: argparse.Namespace) -> None:
    """Check that options go together.

    Raises:
        argparse.ArgumentError: they do not.
    """
    if not args.teacher:
        given = [name for name in _OPTIONS if getattr(args, name) is not None]
        if given or args.backend != "auto":
            raise argparse.ArgumentError(None, f"--{(given or ['backend'])[0]} is for --teacher")
        return
    if args.min_score is not None or args.max_hands is not None:
        raise argparse.ArgumentError(
            None, "--min-score and --max-hands are not for --teacher; give --strict and --loose"
        )
    strict, loose = _thresholds(args)
    if loose > strict:
        raise argparse.ArgumentError(None, f"--loose {loose:g} is above --strict {strict:g}")


def label_with_teacher(args: argparse.Namespace, output: Path) -> None:
    """Run `handmesh label --teacher`; what the file of labels holds already is kept.

    Args:
        args: parsed.
        output: the file to write.

    Raises:
        HandmeshError: there is nothing to label, a model cannot be used, or the labels cannot be
            written or were made otherwise.
    """
    frames = output.parent / FRAMES_FOLDER
    sources = [
        source
        if source.is_video
        else Source(source.path, Path(os.path.relpath(source.path, output.parent)))
        for source in find_sources(args.folder)
        if frames.resolve() not in source.path.resolve().parents
    ]
    Originals(source.path for source in sources).check(output)
    check_place(output)
    quiet_decoders()
    strict, loose = _thresholds(args)
    with _opened(args) as (teacher, models):
        made_by = f"handmesh label --teacher --strict {strict:g} --loose {loose:g}: {models}"
        known = _known(output, made_by)
        images = list(known.values())
        files = progress(sources, "labels", unit="file")
        saved = time.monotonic()
        try:
            for name, image in read_unlabelled(files, output.parent, known, args.every or EVERY):
                height, width = image.shape[:2]
                found = teacher.detect(image, loose)
                hands = label_findings(found, height, width, strict=strict, loose=loose)
                images.append(LabelledImage(name, width, height, hands))
                if time.monotonic() - saved > SAVED_AFTER_S:
                    write_hand_labels(output, images, made_by)
                    saved = time.monotonic()
        finally:
            if images:
                write_hand_labels(output, images, made_by)
    if not images:
        raise HandmeshError(
            f"The folder {args.folder} holds no photograph and no video that can be read."
        )
    ignored = [hand.is_ignored for image in images for hand in image.hands]
    kept = f" ({len(known)} were labelled before)" if known else ""
    print(
        f"Labelled {ignored.count(False)} hands and {ignored.count(True)} places to be ignored in "
        f"{len(images)} images{kept} and wrote {output}."
    )


def read_unlabelled(
    sources: Iterable[Source], folder: Path, known: Container[str], every: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and (H, W, 3) uint8 RGB images of photographs and of videos' frames.

    Frames become JPEG files first, in `FRAMES_FOLDER`, a folder a video. Files that cannot be read
    are skipped and counted in the log.

    Args:
        sources: photographs, with names as in the labels, and videos.
        folder: of the file of labels.
        known: names of images that are left out.
        every: of so many frames of a video the first is read.

    Raises:
        OSError: a frame cannot be written.
    """
    problems: list[str] = []
    total = 0
    for source in sources:
        total += 1
        try:
            for path, name in _files_of(source, folder, known, every):
                if name not in known:
                    yield name, read_photo(path)
        except HandmeshError as problem:
            problems.append(str(problem))
    if problems:
        _log.warning("Skipped %d of %d files. The first: %s", len(problems), total, problems[0])


def _files_of(
    source: Source, folder: Path, known: Container[str], every: int
) -> Iterator[tuple[Path, str]]:
    """Yield paths and names of a photograph, or of a video's frames once they are written."""
    if not source.is_video:
        yield source.path, source.name.as_posix()
        return
    for frame in read_frames(source):
        if (frame.index or 0) % every:
            continue
        name = FRAMES_FOLDER / source.name / f"{frame.index:06d}.jpg"
        path = folder / name
        if name.as_posix() not in known:
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
            _, content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
            write_whole(path, content.tobytes(), sync=False)
        yield path, name.as_posix()


def _thresholds(args: argparse.Namespace) -> tuple[float, float]:
    """Return the strict and the loose one."""
    strict = STRICT if args.strict is None else args.strict
    return strict, min(LOOSE, strict) if args.loose is None else args.loose


def _known(output: Path, made_by: str) -> dict[str, LabelledImage]:
    """Return by name what a file of labels holds already; nothing where there is none."""
    if not output.is_file():
        return {}
    source, images = read_labelled_images(output)
    if source != made_by:
        raise HandmeshError(
            f"The labels in {output} were made otherwise ({source}), and labels of two kinds do "
            "not mix: give another place with --output, or remove the file."
        )
    return {image.name: image for image in images}


@contextmanager
def _opened(args: argparse.Namespace) -> Iterator[tuple[Teacher, str]]:
    """Open a teacher, and name all that it asks."""
    python = args.mediapipe
    if python is None and _has_mediapipe():
        python = sys.executable
    with ExitStack() as opened:
        proposers: list[Proposer] = []
        if python is not None:
            mediapipe = MediaPipeBaseline(python)
            opened.callback(mediapipe.close)
            proposers.append(lambda image: _moderate(mediapipe.detect(image)))
        teacher = open_teacher(args.backend, proposers)
        opened.callback(teacher.close)
        yield teacher, teacher.model_id + (" + MediaPipe Hands" if proposers else "")


def _has_mediapipe() -> bool:
    return importlib.util.find_spec("mediapipe") is not None


def _moderate(hands: Hands) -> Hands:
    return hands.replace(score=np.full(len(hands), MEDIAPIPE_SCORE, np.float32))

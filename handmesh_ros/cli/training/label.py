"""`handmesh label`: 2D labels for a folder of photographs, by MediaPipe or by our own networks."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from handmesh_ros.cli.training.label_teacher import (
    add_teacher_arguments,
    check_teacher_arguments,
    label_with_teacher,
)
from handmesh_ros.common.arguments import count, number
from handmesh_ros.common.output_paths import Originals, check_place
from handmesh_ros.errors import HandmeshError
from handmesh_ros.media.photos import read_photo
from handmesh_ros.media.sources import Source, find_sources, quiet_decoders
from handmesh_ros.training.data.readers.hand_labels import (
    FILE_NAME,
    LabelledImage,
    write_hand_labels,
)
from handmesh_ros.training.data.readers.pseudo_labels import Finder, label_hands, mediapipe_finder

MIN_SCORE, MAX_HANDS = 0.8, 8
"""Usual values of `--min-score` and `--max-hands`."""

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `handmesh label`."""
    parser.add_argument("folder", type=Path, help="photographs, in it or below")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help=f"file to write (FOLDER/{FILE_NAME})"
    )
    parser.add_argument(
        "--min-score",
        type=number(0, 1),
        metavar="P",
        help=f"less certain hands are not labelled ({MIN_SCORE:g}; not with --teacher)",
    )
    parser.add_argument(
        "--max-hands",
        type=count(),
        metavar="N",
        help=f"in a photograph ({MAX_HANDS}; not with --teacher)",
    )
    add_teacher_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run `handmesh label`.

    Raises:
        argparse.ArgumentError: options do not go together.
        HandmeshError: there is no readable photograph, or the labels cannot be written.
    """
    check_teacher_arguments(args)
    if not args.folder.is_dir():
        raise HandmeshError(f"{args.folder} is no folder; give one with photographs.")
    output = args.output or args.folder / FILE_NAME
    if args.teacher:
        label_with_teacher(args, output)
        return
    sources = [
        Source(source.path, Path(os.path.relpath(source.path, output.parent)))
        for source in find_sources(args.folder)
        if not source.is_video
    ]
    Originals(source.path for source in sources).check(output)
    check_place(output)
    quiet_decoders()
    find = mediapipe_finder(args.max_hands or MAX_HANDS)
    min_score = MIN_SCORE if args.min_score is None else args.min_score
    images = list(label_photographs(sources, find, min_score))
    if not images:
        raise HandmeshError(f"The folder {args.folder} holds no photograph that can be read.")
    write_hand_labels(output, images, "MediaPipe Hands 0.10, agreeing with its mirror image")
    labels = [hand.keypoints is not None for image in images for hand in image.hands]
    print(
        f"Labelled {sum(labels)} of {len(labels)} hands in {len(images)} photographs and wrote "
        f"{output}."
    )


def label_photographs(
    sources: list[Source], find: Finder, min_score: float
) -> Iterator[LabelledImage]:
    """Yield the labels of photographs; those that cannot be read are skipped and counted.

    Args:
        sources: the photographs; their names go into the labels.
        find: the detector.
        min_score: see `label_hands`.
    """
    broken = ""
    skipped = 0
    for source in sources:
        try:
            image = read_photo(source.path)
        except HandmeshError as error:
            skipped, broken = skipped + 1, broken or str(error)
            continue
        hands = label_hands(image, find, min_score)
        yield LabelledImage(source.name.as_posix(), image.shape[1], image.shape[0], hands)
    if skipped:
        _log.warning("Skipped %d of %d photographs. The first: %s", skipped, len(sources), broken)

"""`handmesh convert`: a published data set becomes training shards."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from handmesh_ros.common.arguments import count
from handmesh_ros.common.imports import plain_errors
from handmesh_ros.common.progress import progress
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.training.data.readers.published import READERS, PublishedSet, open_published
from handmesh_ros.training.data.sample import Sample
from handmesh_ros.training.data.shards import ShardWriter

_BATCH = 128
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `handmesh convert`."""
    parser.add_argument("name", choices=READERS, help="which data set it is")
    parser.add_argument("folder", type=Path, help="that the data set was unpacked into")
    parser.add_argument("output", type=Path, help="folder for the shards")
    parser.add_argument("--split", help="part to convert (default: the one for training)")
    parser.add_argument("--limit", type=count(), help="convert only the first images")
    parser.add_argument(
        "--only-2d", action="store_true", help="keep 2D labels only; fits no hand model"
    )


def run(args: argparse.Namespace) -> None:
    """Run `handmesh convert`.

    Raises:
        HandmeshError: a file of the data set is missing, or none of its images can be used.
    """
    with plain_errors():
        from handmesh_ros.training.data.readers.fitting import fit_samples

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    published = open_published(args.name, args.folder, args.split)
    split = args.split or READERS[args.name].splits[0]
    samples = usable_samples(published, args.limit)
    written = with_3d = 0
    with ShardWriter(args.output, name=f"{args.name}-{split}") as writer:
        while batch := list(islice(samples, _BATCH)):
            if not args.only_2d:
                batch = fit_samples(batch, HandTemplate.bundled())
            for sample in batch:
                writer.write(_without_joints(sample).replace(key=f"{written:07d}"))
                written += 1
                with_3d += int(sample.has_3d.sum())
        writer.finish()
    print(f"Wrote {written} images, {with_3d} hands with 3D labels, into {args.output}.")


def usable_samples(published: PublishedSet, limit: int | None = None) -> Iterator[Sample]:
    """Yield the samples of a data set; unusable ones are skipped, counted and the first named.

    Args:
        published: the data set.
        limit: look only at the first images.

    Raises:
        HandmeshError: not one sample is usable.
    """
    count = min(len(published), limit or len(published))
    skipped, first = 0, ""
    for index in progress(range(count)):
        try:
            sample = published[index]
        except HandmeshError as error:
            skipped, first = skipped + 1, first or str(error)
            continue
        yield sample
    if skipped == count:
        raise HandmeshError(f"None of {count} images can be used. The first: {first}")
    if skipped:
        _log.warning("Skipped %d of %d images. The first: %s", skipped, count, first)


def _without_joints(sample: Sample) -> Sample:
    """Return the sample with zeros for joints that are not part of a complete 3D label."""
    joints, translation = sample.joints.copy(), sample.translation.copy()
    joints[sample.has_3d == 0], translation[sample.has_3d == 0] = 0, 0
    return sample.replace(joints=joints, translation=translation)

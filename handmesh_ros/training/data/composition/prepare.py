"""Writing photographs and composites into shards, so that training only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from handmesh_ros.common.progress import progress
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.training.data.composition.backgrounds import Backgrounds
from handmesh_ros.training.data.composition.composites import compose_sample
from handmesh_ros.training.data.composition.cutouts import Cutout, cut_out_all
from handmesh_ros.training.data.composition.options import CompositeOptions
from handmesh_ros.training.data.composition.photographs import (
    Photograph,
    Split,
    find_sets,
    read_photographs,
    read_samples,
)
from handmesh_ros.training.data.processes import in_processes
from handmesh_ros.training.data.readers.fitting import fit_samples
from handmesh_ros.training.data.sample import Sample
from handmesh_ros.training.data.shards import Members, NumberedShards, ShardWriter, encode

FITTED_TOGETHER = 256
"""Photographs whose hands the hand model is fitted to at a time."""


@dataclass(frozen=True)
class CompositeMaker:
    """Makes the composites of one run; the one of an index is always the same.

    Attributes:
        cutouts: hands to paste.
        backgrounds: to paste them on.
        whole: labelled photographs to paste them on.
        options: what the composites look like.
        seed: of the run.
    """

    cutouts: list[Cutout]
    backgrounds: Backgrounds
    whole: list[Sample]
    options: CompositeOptions
    seed: int

    def encoded(self, index: int) -> Members:
        """Return the members of this index in a shard."""
        rng = np.random.default_rng((self.seed, index))
        sample = compose_sample(self.cutouts, self.backgrounds, rng, self.options, self.whole)
        return encode(sample.replace(key=f"{self.seed}-{index:06d}"))


def compose(
    output: str | Path,
    count: int,
    *,
    seed: int,
    sources: Sequence[str | Path],
    backgrounds: Sequence[str | Path] = (),
    split: Split = "train",
    options: CompositeOptions | None = None,
    cache: str | Path | None = None,
    first: int = 0,
    workers: int = 1,
) -> int:
    """Write composites of the labelled photographs as shards.

    Sample i depends on (seed, i) and the sources only, so parts of a set can be made apart. Shards
    of the same composites that are there already are kept.

    Args:
        output: folder for the shards.
        count: composites to write.
        seed: of everything random.
        sources: folders with labelled sets in or below them, see `photographs`.
        backgrounds: folders with background photographs; none for drawn ones.
        split: part of the photographs to use.
        options: what the composites look like.
        cache: folder for the cut-outs, which take some 0.3 s each to make.
        first: number of the first composite.
        workers: processes.

    Returns:
        How many were made; the others were there already.

    Raises:
        HandmeshError: a folder holds no labels, or no background, or the output holds other
            composites of this seed.
    """
    options = options or CompositeOptions()
    sets = {
        found: read_photographs(found, split) for source in sources for found in find_sets(source)
    }
    cutouts: list[Cutout] = []
    for found, photographs in sets.items():
        file = None if cache is None else Path(cache) / f"{found.name}_{split}.npz"
        cutouts += cut_out_all(photographs, file, workers)
    together = [photograph for photographs in sets.values() for photograph in photographs]
    complete = [photograph for photograph in together if not len(photograph.ignored)]
    whole = list(read_samples(complete)) if options.photograph > 0 else []
    maker = CompositeMaker(cutouts, Backgrounds(backgrounds), whole, options, seed)
    name, numbers = f"composite-{seed}-{first:06d}", range(first, first + count)
    shards = NumberedShards(Path(output), name, numbers, maker.encoded)
    missing = shards.missing
    made = in_processes(maker.encoded, missing, workers)
    for _ in shards.write(progress(made, "composites", len(missing))):
        pass
    return len(missing)


def store_photographs(
    output: str | Path, sources: Sequence[str | Path], split: Split = "train"
) -> int:
    """Write the labelled photographs, whole and in their own size, as shards.

    Hands with `world` points get complete 3D labels, but no colours.

    Args:
        output: folder for the shards.
        sources: folders with labelled sets in or below them, see `photographs`.
        split: part of the photographs to write.

    Returns:
        How many were written.

    Raises:
        HandmeshError: a folder holds no labels, or the output holds other photographs.
    """
    photographs: list[Photograph] = []
    for source in sources:
        for found in find_sets(source):
            photographs += read_photographs(found, split)
    count = 0
    with ShardWriter(Path(output), name="photograph") as writer:
        template = HandTemplate.bundled()
        samples = read_samples(photographs, with_joints=True, with_ignored=True)
        while some := list(islice(samples, FITTED_TOGETHER)):
            for sample in fit_samples(some, template, with_colors=False):
                writer.write(sample.replace(key=f"{count:06d}"))
                count += 1
        writer.finish()
    return count

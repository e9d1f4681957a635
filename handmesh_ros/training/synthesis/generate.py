"""`handmesh synthesize`: write rendered training samples as tar shards."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handmesh_ros.common.child_processes import spawn_pool
from handmesh_ros.training.data.sample import Sample
from handmesh_ros.training.data.shards import Members, NumberedShards, encode

SAMPLES_PER_SHARD = 1000
BATCH = 20
OMITTABLE = ("forearms", "occluders")
"""What scenes can do without."""


class SampleMaker:
    """Draws the samples of one run; the sample of a seed and an index is always the same.

    Args:
        seed: of the run.
        size: (width, height) of the images, pixels.
        skins: folder of skin textures, or None for painted ones.
        backgrounds: folders of photographs without hands.
        without: of `OMITTABLE`, what to leave out of the scenes.

    Raises:
        HandmeshError: EGL is missing or a folder is unusable.
    """

    def __init__(
        self,
        seed: int,
        size: tuple[int, int] = (320, 320),
        skins: Path | None = None,
        backgrounds: Sequence[Path] = (),
        without: Sequence[str] = (),
    ) -> None:
        from handmesh_ros.hand.template import HandTemplate
        from handmesh_ros.training.synthesis.renderer import Renderer
        from handmesh_ros.training.synthesis.scene import SceneSampler

        self.seed = seed
        templates = HandTemplate.bundled(), HandTemplate.bundled_render()
        self.sampler = SceneSampler(*templates, *size, skins, backgrounds, without)
        self.renderer = Renderer(*size, self.sampler.textures)

    def make(self, index: int) -> Sample:
        """Return the sample of this index."""
        from handmesh_ros.training.synthesis.truth import describe

        scene = self.sampler.sample(np.random.default_rng([self.seed, index]))
        frame = self.renderer.draw(
            scene.meshes, scene.intrinsics, scene.lighting, scene.background
        )
        return describe(scene, frame, self.sampler).replace(key=f"{self.seed:06d}_{index:08d}")

    def encoded(self, index: int) -> Members:
        """Return the members of this index in a shard."""
        return encode(self.make(index))


_maker: SampleMaker | None = None


def _start_worker(*arguments: Any) -> None:
    """Open a renderer in this process; Mesa draws with one thread, as the processes share work."""
    global _maker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that ends this one.
    os.environ.setdefault("LP_NUM_THREADS", "1")
    cv2.setNumThreads(1)
    _maker = SampleMaker(*arguments)


def _make_batch(indices: Sequence[int]) -> list[Members]:
    assert _maker is not None
    return [_maker.encoded(index) for index in indices]


def synthesize(
    output: Path,
    count: int,
    seed: int = 0,
    size: tuple[int, int] = (320, 320),
    skins: Path | None = None,
    backgrounds: Sequence[Path] = (),
    workers: int = 1,
    without: Sequence[str] = (),
) -> Iterator[int]:
    """Write samples 0..count of a seed as shards, and say how far it is.

    Shards of the same samples that are there already are kept, so that an interrupted run goes on
    and a greater count adds to a smaller one.

    Args:
        output: folder of the shards, made where it does not exist.
        count: number of images.
        seed: the samples depend on it and on their index, not on `workers`.
        size: (width, height), pixels.
        skins: folder of skin textures, or None for painted ones.
        backgrounds: folders of photographs without hands; none means painted ones.
        workers: processes.
        without: of `OMITTABLE`, what to leave out of the scenes.

    Yields:
        How many samples there are: first those there already, then after each one.

    Raises:
        HandmeshError: EGL is missing, a folder is unusable, or the output holds other samples of
            this seed.
    """
    # Opened here even where workers do the drawing, so that a problem is one sentence and not a
    # pool of dying workers.
    arguments = (seed, size, skins, tuple(backgrounds), tuple(without))
    maker = SampleMaker(*arguments)
    shards = NumberedShards(
        output, f"synthetic-{seed}", range(count), maker.encoded, SAMPLES_PER_SHARD
    )
    missing = shards.missing
    with contextlib.ExitStack() as stack:
        samples: Iterable[Members] = map(maker.encoded, missing)
        if workers > 1 and missing:
            maker.renderer.close()
            pool = stack.enter_context(spawn_pool(workers, _start_worker, arguments))
            batches = [missing[first : first + BATCH] for first in range(0, len(missing), BATCH)]
            samples = chain.from_iterable(pool.imap(_make_batch, batches))
        yield from shards.write(samples)

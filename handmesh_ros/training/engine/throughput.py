"""`handmesh train --throughput`: images a second of generator, loader and step, side by side."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.config import TrainingConfig
from handmesh_ros.training.data.composition.twins import with_twins
from handmesh_ros.training.engine.train import HandData, make_trainer_module
from handmesh_ros.training.losses.supervised import total_loss
from handmesh_ros.training.synthesis.generate import SampleMaker

WARM = 3
"""First rounds that are not counted."""


def throughput(
    config: TrainingConfig, data_dir: Path, batches: int = 20
) -> dict[str, float | None]:
    """Measure the parts of training one after another.

    Args:
        config: of the stage.
        data_dir: folder that the configured shard folders are relative to.
        batches: how many each part does; the generator draws as many images.

    Returns:
        images a second: generator (one process; None without EGL), loader (with the configured
        processes; images count twice that come with their twins), and step (forward, backward and
        update of one batch again and again).

    Raises:
        HandmeshError: data are missing or broken.
    """
    size, workers = config.optimisation.batch_size, config.data.workers
    # Each process works ahead by two batches, which would count as loaded in no time.
    ahead = WARM + 2 * workers
    counted = max(batches, 2 * workers)
    loader = iter(HandData(config, data_dir).loader_of((ahead + counted + 1) * size))
    batch = next(loader)
    loaded = _rate(itertools.islice(loader, ahead + counted), size, ahead)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch = {name: values.to(device) for name, values in batch.items()}
    if config.data.twins:
        batch, size = with_twins(batch, torch.Generator().manual_seed(0)), 2 * size
        loaded *= 2
    module = make_trainer_module(config, pretrained=False).to(device).train()
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, 1e-5, fused=module.fused)

    def step(_: int) -> None:
        low = config.optimisation.precision.startswith(("bf16", "16"))
        kind = torch.bfloat16 if "bf16" in config.optimisation.precision else torch.float16
        with torch.autocast(device.type, kind, enabled=low):
            loss = total_loss(module.compute_losses(batch, jitter=True), config.losses)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # waits for a GPU

    return {
        "generator": _generated(batches + WARM),
        "loader": loaded,
        "step": _rate(map(step, range(batches + WARM)), size),
    }


def format_throughput(rates: dict[str, float | None], workers: int) -> str:
    """Return `throughput`'s rates as a Markdown table and what is the narrowest part."""
    names = {
        "generator": "generator, one process",
        "loader": f"loader, {workers} processes",
        "step": "training step",
    }
    lines = ["| part | images/s |", "|---|---|"]
    for part, name in names.items():
        rate = rates[part]
        lines.append(f"| {name} | {'no EGL' if rate is None else f'{rate:.1f}'} |")
    loader, step = rates["loader"], rates["step"]
    assert loader is not None and step is not None
    verdict = "keeps up with" if loader >= step else "starves"
    return "\n".join(lines) + f"\n\nThe loader {verdict} the step ({loader / step:.1f} ×)."


def minutes_of(config: TrainingConfig, rates: dict[str, float | None]) -> float:
    """Return how long a stage takes at the rates of `throughput`.

    Args:
        config: of the stage.
        rates: images a second.
    """
    images = config.optimisation.steps * config.optimisation.batch_size
    slowest = min(rate for part in ("loader", "step") if (rate := rates[part]) is not None)
    return images * (1 + config.data.twins) / slowest / 60


def _generated(count: int) -> float | None:
    try:
        maker = SampleMaker(seed=0)
    except HandmeshError:
        return None
    return _rate(map(maker.make, range(count)), 1)


def _rate(rounds: Iterable[Any], images: int, warm: int = WARM) -> float:
    """Images a second of an iterable's rounds after the first ones."""
    iterator = iter(rounds)
    for _ in range(warm):
        next(iterator)
    start = time.perf_counter()
    count = sum(1 for _ in iterator)
    return count * images / (time.perf_counter() - start)

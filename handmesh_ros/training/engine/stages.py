"""`handmesh train`: stages of training one after another, then export and evaluation."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from handmesh_ros.inference.estimator import Estimator
from handmesh_ros.inference.sidecar import Sidecar
from handmesh_ros.network.checkpoint import load_network, trained_steps
from handmesh_ros.training.config import TrainingConfig
from handmesh_ros.training.data.shards import ShardDataset
from handmesh_ros.training.engine.train import train
from handmesh_ros.training.evaluation.evaluate import evaluate, format_table
from handmesh_ros.training.export.export import export


def train_stages(
    configs: list[TrainingConfig],
    data_dir: Path,
    outputs: list[Path],
    *,
    max_minutes: float | None = None,
    **options: Any,
) -> bool:
    """Train stages in order, each from the weights of the one before; resumes anywhere.

    Args:
        configs: of the stages; `start_from` counts for the first.
        data_dir: folder that the configured shard folders are relative to.
        outputs: each stage's folder for checkpoints and logs.
        max_minutes: stop after this long, all stages together.
        options: further ones of `train`.

    Returns:
        whether all stages are complete.

    Raises:
        HandmeshError: data are missing or broken, or the loss became not a number.
    """
    end = None if max_minutes is None else time.monotonic() + 60 * max_minutes
    before: Path | None = None
    for config, output in zip(configs, outputs, strict=True):
        last, steps = output / "last.ckpt", config.optimisation.steps
        if trained_steps(last) < steps:
            left = None if end is None else (end - time.monotonic()) / 60
            if left is not None and left <= 0:
                return False
            if before:
                config = replace(config, start_from=str(before))
            print(f"Training {config.name}: {asdict(config.optimisation)}", flush=True)
            output.mkdir(parents=True, exist_ok=True)
            train(config, data_dir, output, max_minutes=left, **options)
            if trained_steps(last) < steps:
                return False
        before = last
    return True


def export_and_evaluate(config: TrainingConfig, data_dir: Path, output: Path) -> Path:
    """Export a finished stage and measure it on its validation sets.

    Args:
        config: of the stage.
        data_dir: folder that the configured shard folders are relative to.
        output: the stage's folder; NAME.onnx, NAME.json and metrics.json are written there.

    Returns:
        the model's path.

    Raises:
        HandmeshError: the exported graph differs from the network, or data are broken.
    """
    network, path = load_network(output / "last.ckpt"), output / f"{config.name}.onnx"
    names = tuple(source.path for source in config.data.train)
    export(network, path, model_id=config.name, training_data=names)
    estimator = Estimator.from_file(path)
    results = {
        source.path: evaluate(estimator, ShardDataset(data_dir / source.path))
        for source in config.data.validation
    }
    if results:
        description = path.with_suffix(".json")
        replace(Sidecar.read(description), metrics=results).write(description)
        (output / "metrics.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")
        print(format_table(results))
    return path

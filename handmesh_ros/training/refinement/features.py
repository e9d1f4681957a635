"""What the frozen landmark network says of crops, and the truth in them, kept in files.

The landmark network takes twenty times as long as the heads that are trained on its output, so
that output is computed once. Each shard gives one .npz file, named after all that it depends on:
a file that is there is not made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.crops import cut_crops
from handmesh_ros.network.refinement import RefinementNetwork
from handmesh_ros.training.data import photometry
from handmesh_ros.training.data.composition.photographs import (
    Photograph,
    find_sets,
    read_photographs,
    read_samples,
)
from handmesh_ros.training.data.sample import Sample
from handmesh_ros.training.data.shards import ShardDataset, shard_files
from handmesh_ros.training.refinement.crops import (
    Finder,
    TrainingCrops,
    mirrored_sample,
    training_crops,
)

BATCH = 16
"""Crops of one run of the landmark network."""

READ_FIELDS = (
    "landmarks",
    "presence_logit",
    "side_logit",
    "world",
    "pooled",
    "fine",
    "coarse",
    "shades",
)
"""Fields of `CropReading`; the last four are stored in float16."""

TRUTH_FIELDS = (
    "is_right",
    "keypoints_2d",
    "keypoints_visible",
    "box",
    "visible_fraction",
    "has_3d",
    "joints",
    "rotations",
    "shape",
    "colors",
)
"""Fields of `Sample` that go with a crop; of crops without a hand they are zeros."""

_HALF = {"pooled", "fine", "coarse", "shades"}

Features = dict[str, np.ndarray]
"""By name, one row a crop: `READ_FIELDS`, `TRUTH_FIELDS`, and

to_image (N, 2, 3) and intrinsics (N, 4) of the crop; is_hand (N,) uint8; origin (N,) uint8 and
score (N,) float32 as in `TrainingCrops`; image (N,) int32, number of the image in its shard;
extent (N, 2) int32, width and height of the image.
"""


@dataclass(frozen=True)
class FeatureOptions:
    """Which crops are cached.

    Args:
        views: crops around the true keypoints of each hand.
        mirror: share of the images that are mirrored.
        light: share of the images whose tones, noise or sharpness are changed.
        seed: of everything random.
    """

    views: int = 1
    mirror: float = 0.5
    light: float = 0.4
    seed: int = 0


def shard_features(
    source: Path,
    folder: Path,
    network: RefinementNetwork,
    finder: Finder | None,
    options: FeatureOptions,
    finder_name: str = "",
) -> list[Path]:
    """Return the feature files of a folder of shards; those that are missing are made.

    Args:
        source: folder of shards, or one shard.
        folder: where the files lie.
        network: its landmark network reads the crops.
        finder: proposes hands; None for crops around true keypoints alone.
        options: which crops.
        finder_name: name and version of what proposes.

    Raises:
        HandmeshError: there are no shards, or one is damaged.
    """
    basis = [asdict(options), finder_name, _fingerprint(network)]
    files = []
    for shard in shard_files(source):
        what = [*basis, str(shard.resolve()), shard.stat().st_size]

        def make(shard: Path = shard) -> Features:
            return read_shard(ShardDataset(shard), network, finder, options)

        files.append(_cached(folder, shard.stem, what, make))
    return files


def photograph_features(
    source: Path,
    folder: Path,
    network: RefinementNetwork,
    finder: Finder | None,
    options: FeatureOptions,
    finder_name: str = "",
) -> list[Path]:
    """Return the feature files of labelled photographs that are for training.

    Arguments as those of `shard_features`, `source` a folder with labelled sets in or below it.

    Raises:
        HandmeshError: the folder holds no labels.
    """
    files = []
    for found in find_sets(source):
        photographs = read_photographs(found, "train")
        names = [photograph.name for photograph in photographs]
        what = [asdict(options), finder_name, _fingerprint(network), str(found.resolve()), names]

        def make(photographs: list[Photograph] = photographs) -> Features:
            return read_shard(list(read_samples(photographs)), network, finder, options)

        files.append(_cached(folder, found.name, what, make))
    return files


def _cached(folder: Path, name: str, what: list[Any], make: Callable[[], Features]) -> Path:
    """Return the file of features, made where it is not there.

    Args:
        folder: of the files.
        name: first part of the file's name.
        what: all that the features depend on.
        make: makes them.
    """
    digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:10]
    file = folder / f"{name}-{digest}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        features = make()
        partial = file.with_suffix(".partial")
        with partial.open("wb") as stream:
            np.savez(stream, **features)  # type: ignore[arg-type]
        partial.replace(file)
        print(f"Read {len(features['is_hand'])} crops of {name}.", flush=True)
    return file


def read_shard(
    samples: ShardDataset | list[Sample],
    network: RefinementNetwork,
    finder: Finder | None,
    options: FeatureOptions,
) -> Features:
    """Return the features of all crops of labelled images."""
    rows: dict[str, list[np.ndarray]] = {}
    crops: list[np.ndarray] = []

    def flush() -> None:
        while len(crops) >= BATCH or (crops and done):
            read = read_crops(network, np.stack(crops[:BATCH]))
            del crops[:BATCH]
            for name, values in read.items():
                rows.setdefault(name, []).append(values)

    done = False
    for sample, chosen, number in _chosen_crops(samples, finder, options):
        crops.extend(cut_crops(sample.image, chosen.regions))
        for name, values in truth_rows(sample, chosen, number).items():
            rows.setdefault(name, []).append(values)
        flush()
    done = True
    flush()
    if not rows:
        raise HandmeshError("The images hold no hand to learn from: give others.")
    return {name: np.concatenate(values) for name, values in rows.items()}


def read_crops(network: RefinementNetwork, crops: np.ndarray) -> Features:
    """Return `READ_FIELDS` of (N, 224, 224, 3) uint8 crops."""
    with torch.inference_mode():
        read = network.read(torch.from_numpy(crops))
    return {
        name: getattr(read, name).numpy().astype(np.float16 if name in _HALF else np.float32)
        for name in READ_FIELDS
    }


def truth_rows(sample: Sample, chosen: TrainingCrops, number: int = 0) -> Features:
    """Return all fields but `READ_FIELDS` of the crops of an image."""
    count, is_hand = len(chosen.hand), chosen.hand >= 0
    rows: Features = {}
    for name in TRUTH_FIELDS:
        values = np.asarray(getattr(sample, name))
        rows[name] = np.zeros((count, *values.shape[1:]), values.dtype)
        rows[name][is_hand] = values[chosen.hand[is_hand]]
    height, width = sample.image.shape[:2]
    return {
        **rows,
        "to_image": chosen.regions.astype(np.float32),
        "intrinsics": np.tile(np.asarray(sample.intrinsics, np.float32), (count, 1)),
        "is_hand": is_hand.astype(np.uint8),
        "origin": chosen.origin.astype(np.uint8),
        "score": chosen.score.astype(np.float32),
        "image": np.full(count, number, np.int32),
        "extent": np.tile(np.array([width, height], np.int32), (count, 1)),
    }


def changed_light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the image with other tones, and then perhaps noise, blur or poor compression."""
    image = photometry.change_tones(image, rng, 0.8)
    spoil = (
        photometry.blur,
        photometry.add_noise,
        photometry.compress,
        photometry.lose_resolution,
        photometry.light_unevenly,
    )
    choice = int(rng.integers(2 * len(spoil)))
    return spoil[choice](image, rng) if choice < len(spoil) else image


def _chosen_crops(
    samples: ShardDataset | list[Sample], finder: Finder | None, options: FeatureOptions
) -> Iterator[tuple[Sample, TrainingCrops, int]]:
    """Yield images as they are shown, with their crops; the same each time."""
    cv2.setNumThreads(1)
    for number in range(len(samples)):
        rng = np.random.default_rng([options.seed, number])
        sample = samples[number]
        if rng.random() < options.mirror:
            sample = mirrored_sample(sample)
        if rng.random() < options.light:
            sample = sample.replace(image=changed_light(sample.image, rng))
        chosen = training_crops(sample, finder, options.views, rng)
        if len(chosen.hand):
            yield sample, chosen, number


def _fingerprint(network: RefinementNetwork) -> str:
    """Return a digest of the landmark network's weights."""
    digest = hashlib.sha256()
    for name, values in network.state_dict().items():
        if not name.startswith(("pose.", "colours.", "hand_model.")):
            digest.update(name.encode())
            digest.update(values.numpy().tobytes())
    return digest.hexdigest()[:16]

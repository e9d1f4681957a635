"""Wrist errors of a model beside the covariances that messages claim.

`python -m benchmarks.wrist_errors SHARDS` runs a model over labelled images and prints
the constants of `ros/geometry.py` that make about 68 % of the errors along every axis lie within
one standard deviation, how many do so now, and the wrist error where depth is known: true meshes
drawn as a depth image with 5 mm noise and 10 % holes. Choose constants on some images and check
them on others (`--first`, `--limit`). `--still` prints how the hands of an image
tremble when only the sensor's noise changes, which `temporal/scenes.py` takes as the noise of a
still hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks.drawn_depth import drawn_depth, spoiled
from handmesh_ros.depth.scale import measure_scale, with_depth
from handmesh_ros.hand.conventions import RIGHT, operator_frame
from handmesh_ros.hand.hands import Hands, ScaleSource
from handmesh_ros.hand.model import HandModel
from handmesh_ros.hand.rotations import inverse, multiply, quaternions, rotation_vectors
from handmesh_ros.hand.size import hand_length, rescaled
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.estimator import Estimator
from handmesh_ros.ros.conversions.covariance import wrist_covariances
from handmesh_ros.training.data.sample import Sample
from handmesh_ros.training.data.shards import ShardDataset
from handmesh_ros.training.evaluation.evaluate import true_hands
from handmesh_ros.training.evaluation.metrics import TrueHands, clip_boxes, match

ONE_SIGMA = 0.6827
"""Share of a normal distribution within one standard deviation."""

SENSOR_NOISE, FLICKER, JPEG_QUALITY = 3.0, 0.005, 90
"""A webcam's: standard deviations of each value of 255 and of the exposure; its compression."""

Errors = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Of n hands: (n, 2) across the ray relative to the hand's size in the image, (n,) along the ray
relative to the distance, (n, 3) rotation vectors, (n, 6) whitened by the claimed covariance."""


def matched(estimator: Estimator, sample: Sample, truth: TrueHands) -> tuple[Hands, np.ndarray]:
    """Return the hands of a sample that were found and have 3D labels, and the index of each."""
    found = estimator.detect(sample.image, sample.intrinsics)
    found_box, true_box = (
        clip_boxes(box, truth.width, truth.height) for box in (found.box, truth.box)
    )
    index = match(found.score, found_box, true_box, 0.5)
    known = np.flatnonzero(index >= 0)
    known = known[truth.has_3d[index[known]]]
    return found[known], index[known]


def errors_of(hands: Hands, truth: TrueHands, index: np.ndarray, intrinsics: np.ndarray) -> Errors:
    """Return the errors of hands.

    Args:
        hands: n.
        truth: labels of their image.
        index: (n,) which of them each hand is.
        intrinsics: (4,) pixels.
    """
    wrist = hands.translation.astype(float)
    true_joints = truth.joints[index].astype(float)
    off = wrist - true_joints[:, 0]
    distance = np.linalg.norm(wrist, axis=1)
    ray = wrist / distance[:, None]
    along = np.einsum("nd,nd->n", off, ray)
    side = np.cross(ray, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    axes = np.stack([side, np.cross(ray, side)], axis=1)
    across = np.einsum("nad,nd->na", axes, off)
    diagonal = np.linalg.norm(hands.box[:, 2:] - hands.box[:, :2], axis=1)
    in_image = across / distance[:, None] * intrinsics[0] / diagonal[:, None]

    frames = operator_frame(hands.joints, hands.handedness == RIGHT)
    true_frames = operator_frame(true_joints, truth.is_right[index])
    turn = rotation_vectors(multiply(quaternions(true_frames), inverse(quaternions(frames))))
    unseen_s = np.zeros(len(hands))
    claimed = wrist_covariances(
        wrist, float(intrinsics[0]), diagonal, hands.scale_source, unseen_s
    )
    of_position = claimed[:, :3, :3]
    sigma_along = np.sqrt(np.einsum("nd,nde,ne->n", ray, of_position, ray))
    sigma_across = np.sqrt(np.einsum("nad,nde,nae->na", axes, of_position, axes))
    sigma_turn = np.sqrt(claimed[:, (3, 4, 5), (3, 4, 5)])
    whitened = np.concatenate(
        [across / sigma_across, (along / sigma_along)[:, None], turn / sigma_turn], axis=1
    )
    return in_image, along / distance, turn, whitened


def variants(
    hands: Hands, truth: TrueHands, index: np.ndarray, intrinsics: np.ndarray, seed: int
) -> Iterator[tuple[ScaleSource, Hands, np.ndarray]]:
    """Yield hands as each source of scale gives them, and which labels they belong to.

    Args:
        hands: n, of assumed size.
        truth: labels of their image.
        index: (n,) which of them each hand is.
        intrinsics: (4,) pixels.
        seed: of the depth image's noise.
    """
    yield ScaleSource.ASSUMED, hands, index
    factor = hand_length(truth.joints[index]) / hand_length(hands.joints)
    source = np.full(len(hands), ScaleSource.CALIBRATED)
    yield ScaleSource.CALIBRATED, rescaled(hands, factor, source), index
    depth = drawn_depth(truth.vertices[truth.has_3d], intrinsics, (truth.height, truth.width))
    scale = measure_scale(hands, spoiled(depth, seed), intrinsics)
    told = np.flatnonzero(scale.reliable)
    yield ScaleSource.DEPTH, with_depth(hands, scale)[told], index[told]


def report(estimator: Estimator, dataset: ShardDataset, numbers: range) -> str:
    """Return the errors on images of a data set as text."""
    hand_model = HandModel(HandTemplate.bundled()).eval()
    collected: dict[ScaleSource, list[Errors]] = {source: [] for source in ScaleSource}
    apart: dict[ScaleSource, list[float]] = {source: [] for source in ScaleSource}
    for number in numbers:
        sample = dataset[number]
        truth = true_hands(sample, hand_model)
        hands, index = matched(estimator, sample, truth)
        if not len(hands):
            continue
        for source, sized, which in variants(hands, truth, index, sample.intrinsics, number):
            collected[source].append(errors_of(sized, truth, which, sample.intrinsics))
            off = sized.translation - truth.joints[which, 0]
            apart[source] += np.linalg.norm(off, axis=1).tolist()
    lines = []
    for source, errors in collected.items():
        if not errors:
            lines.append(f"{source.name}: no hands")
            continue
        across, along, turn, whitened = (
            np.concatenate([one[part] for one in errors]) for part in range(4)
        )
        within = (np.abs(whitened) <= 1.0).mean(0)
        lines += [
            f"{source.name}: {len(along)} hands, wrist off by {1e3 * np.median(apart[source]):.0f}"
            " mm (median)",
            f"  sigma across {_sigma(across):.3f} of the box's diagonal, along {_sigma(along):.3f}"
            f" of the distance, rotation {_sigma(turn):.2f} rad",
            f"  within the claimed sigma: across {within[:2].mean():.0%}, along {within[2]:.0%}, "
            f"rotation {within[3:].mean():.0%}",
        ]
    return "\n".join(lines)


def _sigma(errors: np.ndarray) -> float:
    """Return what 68 % of absolute errors lie below."""
    return float(np.quantile(np.abs(errors), ONE_SIGMA))


def still_report(estimator: Estimator, dataset: ShardDataset, numbers: range, repeats: int) -> str:
    """Return, as text, how hands tremble while only the sensor's noise changes.

    Each image is taken several times with new noise; spreads are medians over the hands that are
    found in nearly all of them.
    """
    random, spreads = np.random.default_rng(0), []
    for number in numbers:
        sample = dataset[number]
        takes = [
            estimator.detect(_taken(sample.image, random), sample.intrinsics)
            for _ in range(repeats)
        ]
        for hand in takes[0]:
            middle = hand.keypoints_2d[0].mean(0)
            same = []
            for take in takes:
                away = np.linalg.norm(take.keypoints_2d.mean(1) - middle, axis=1)
                if len(away) and away.min() < 0.2 * np.ptp(hand.keypoints_2d[0], axis=0).max():
                    same.append(take[int(away.argmin())])
            if len(same) > 0.7 * repeats:
                spreads.append(_spread(same, float(sample.intrinsics[0])))
    names = ("wrist in the image, px", "log depth", "log length", "wrist rotation, rad")
    quartiles = np.quantile(np.array(spreads), [0.25, 0.5, 0.75], axis=0).T
    told = [f"  {name}: {low:.4f} {mid:.4f} {high:.4f}" for name, (low, mid, high) in
            zip(names, quartiles, strict=True)]  # fmt: skip
    return "\n".join([f"{len(spreads)} still hands, quartiles of standard deviations", *told])


def _taken(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    noisy = image * random.normal(1.0, FLICKER) + random.normal(0.0, SENSOR_NOISE, image.shape)
    coded = cv2.imencode(
        ".jpg", np.clip(noisy, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))


def _spread(takes: list[Hands], focal_px: float) -> tuple[float, float, float, float]:
    wrist = np.concatenate([take.translation for take in takes]).astype(float)
    bearing = focal_px * wrist[:, :2] / wrist[:, 2:]
    length = [float(hand_length(take.joints)[0]) for take in takes]
    turns = quaternions(np.concatenate([take.rotations[:, 0] for take in takes]))
    turned = rotation_vectors(multiply(inverse(turns[:1]), turns))
    return (
        float(bearing.std(0).mean()),
        float(np.log(wrist[:, 2]).std()),
        float(np.log(length).std()),
        float(turned.std(0).mean()),
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wrist_errors")
    parser.add_argument("data", type=Path, help="folder of shards with 3D labels")
    parser.add_argument("--model", type=Path, help="model file (default: the bundled one)")
    parser.add_argument("--first", type=int, default=0, help="number of the first image")
    parser.add_argument("--limit", type=int, default=400, help="use at most this many images")
    parser.add_argument("--still", action="store_true", help="the trembling of still hands")
    parser.add_argument("--repeats", type=int, default=16, help="how often each image, --still")
    args = parser.parse_args()
    estimator, dataset = Estimator.from_file(args.model), ShardDataset(args.data)
    numbers = range(args.first, min(args.first + args.limit, len(dataset)))
    if args.still:
        print(still_report(estimator, dataset, numbers, args.repeats))
    else:
        print(report(estimator, dataset, numbers))


if __name__ == "__main__":
    main()

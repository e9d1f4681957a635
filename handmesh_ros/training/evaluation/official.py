"""A model on a published data set by that set's own protocol, and the file to hand in.

The whole runtime runs on every image of the evaluation split. A hand that is not found is handed
in as zeros, as the data sets' own templates do, and costs accordingly.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handmesh_ros.common.progress import progress
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import RIGHT
from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.opening import HandFinder
from handmesh_ros.training.data.readers.annotated import check_lengths
from handmesh_ros.training.data.readers.files import read_json
from handmesh_ros.training.data.readers.freihand import FreiHand
from handmesh_ros.training.data.readers.ho3d import FROM_OPENGL, JOINT_ORDER, Ho3d
from handmesh_ros.training.data.readers.interhand import InterHand
from handmesh_ros.training.data.readers.rhd import Rhd
from handmesh_ros.training.evaluation.official_metrics import (
    PalmScores,
    SingleHandScores,
    TwoHandScores,
)

PROTOCOLS = ("freihand", "ho3d", "interhand", "rhd")
"""Data sets with a protocol here; the first two take submissions."""

_MANO_VERTICES = 778
Figures = dict[str, Any]


def evaluate_officially(
    estimator: HandFinder,
    name: str,
    folder: Path,
    *,
    split: str | None = None,
    predictions: Path | None = None,
    limit: int | None = None,
) -> Figures:
    """Return a data set's official figures and write its submission file.

    Args:
        estimator: the whole runtime.
        name: one of `PROTOCOLS`.
        folder: that the data set was unpacked into.
        split: None for the one for evaluation.
        predictions: file to write; FreiHAND and HO-3D only.
        limit: use only the first images; no submission.

    Raises:
        HandmeshError: a file is missing or damaged, or there is nothing to do: no labels and no
            file to write.
    """
    if name not in PROTOCOLS:
        raise HandmeshError(
            f"There is no official protocol for {name} here; turn it into shards with `handmesh "
            "convert` and evaluate those."
        )
    if predictions is not None and (name not in PROTOCOLS[:2] or limit is not None):
        raise HandmeshError(
            "--predictions writes the submission file of freihand and ho3d, over all images: "
            "leave it or --limit out."
        )
    usual = estimator.score_threshold
    estimator.score_threshold = 0.0
    try:
        if name == "interhand":
            data = InterHand(folder, split or "test", complete_only=False)
            return _interhand(estimator, data, limit, usual)
        if name == "rhd":
            return _rhd(estimator, Rhd(folder, split or "evaluation"), limit)
        reader = Ho3d if name == "ho3d" else FreiHand
        single = reader(folder, split or "evaluation", need_labels=False)
        return _single_hand(estimator, single, predictions, limit)
    finally:
        estimator.score_threshold = usual


def _single_hand(
    estimator: HandFinder,
    data: FreiHand | Ho3d,
    predictions: Path | None,
    limit: int | None,
) -> Figures:
    """One right hand an image. HO-3D gives the wrist's place, and the prediction is put there."""
    labels = data.folder / f"{data.split}_xyz.json"
    if not data.has_labels and predictions is None:
        raise HandmeshError(
            f"{labels} is not there, so nothing can be measured here: get it, or write the "
            "submission file with --predictions."
        )
    is_ho3d, is_mano = isinstance(data, Ho3d), estimator.template.name == "mano"
    signs, order = (FROM_OPENGL, np.argsort(JOINT_ORDER)) if is_ho3d else (1, np.arange(21))
    meshes = labels.with_name(f"{data.split}_verts.json")
    true_vertices = None
    if data.has_labels and meshes.is_file():
        true_vertices = read_json(meshes, "FreiHAND or HO-3D", list)
        check_lengths({labels: len(data), meshes: len(true_vertices)})
    scores = SingleHandScores(same_mesh=is_mano, scale_translation=is_ho3d)
    submission: list[tuple[np.ndarray, np.ndarray]] = []
    found = 0
    for index in progress(_indices(len(data), limit)):
        sample = data[index]
        hand = likeliest(estimator.detect(sample.image, sample.intrinsics), RIGHT)
        found += len(hand)
        joints, vertices = _or_zeros(hand.joints), _or_zeros(hand.vertices)
        if isinstance(data, Ho3d) and len(hand):
            shift = data.wrist(index) - joints[0]
            joints, vertices = joints + shift, vertices + shift
        submission.append(((joints * signs)[order], vertices * signs))
        if data.has_labels:
            truth = None if true_vertices is None else np.asarray(true_vertices[index]) * signs
            scores.update(joints, vertices, sample.joints[0].astype(np.float64), truth)
    if predictions is not None:
        write_submission(predictions, submission, is_mano)
    figures = scores.summary() if data.has_labels else {}
    return {"images": len(submission), "found": found, **figures}


def _interhand(
    estimator: HandFinder, data: InterHand, limit: int | None, threshold: float
) -> Figures:
    """The hand of each side is the likeliest detection of that side."""
    scores = TwoHandScores()
    for index in progress(_indices(len(data), limit)):
        true_joints, valid, intrinsics = data.labelled_joints(index)
        hands = estimator.detect(data.image(index), intrinsics.astype(np.float32))
        sides = [likeliest(hands[hands.handedness == side], side) for side in (RIGHT, 1 - RIGHT)]
        found = np.array([bool((hand.score >= threshold).any()) for hand in sides])
        joints = np.stack([_or_zeros(hand.joints) for hand in sides])
        scores.update(joints, found, true_joints, valid, *data.hand_type(index))
    return {"images": len(_indices(len(data), limit)), **scores.summary()}


def _rhd(estimator: HandFinder, data: Rhd, limit: int | None) -> Figures:
    """The protocol looks at the hand with more pixels, and tells its side."""
    scores, images = PalmScores(), 0
    for index in progress(_indices(len(data), limit)):
        sample = data[index]
        if not len(sample) or sample.mask is None:
            continue
        images += 1
        areas = [(sample.mask == number).sum() for number in range(1, len(sample) + 1)]
        chosen = int(len(areas) == 2 and areas[0] <= areas[1])
        hand = likeliest(
            estimator.detect(sample.image, sample.intrinsics), int(sample.is_right[chosen])
        )
        visible = sample.keypoints_visible[chosen].astype(bool)
        scores.update(_or_zeros(hand.joints), sample.joints[chosen], visible)
    return {"images": images, **scores.summary()}


def likeliest(hands: Hands, side: int) -> Hands:
    """Return the hand with the highest product of score and probability of a side, or none."""
    if not len(hands):
        return hands
    probability = hands.right_probability if side == RIGHT else 1 - hands.right_probability
    return hands[int(np.argmax(hands.score * probability))]


def write_submission(
    path: Path, hands: Sequence[tuple[np.ndarray, np.ndarray]], is_mano: bool
) -> None:
    """Write the file that FreiHAND's and HO-3D's servers take: all joints, then all vertices.

    The servers take 778 vertices for MANO's and compare them one by one. Another mesh of that
    size gets its first vertex once more at the end, so that it is judged as a free mesh.

    Args:
        path: the file, usually `pred.json`, to be zipped.
        hands: joints (21, 3) and vertices (V, 3), metres, of each image, in the data set's order
            and frame.
        is_mano: whether the vertices are MANO's.

    Raises:
        HandmeshError: the file cannot be written.
    """
    joints, vertices = ([points[part] for points in hands] for part in (0, 1))
    if not is_mano and len(vertices[0]) == _MANO_VERTICES:
        vertices = [np.concatenate([points, points[:1]]) for points in vertices]
    content = [[points.tolist() for points in part] for part in (joints, vertices)]
    try:
        path.write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:
        raise HandmeshError(
            f"The predictions cannot be written to {path} ({error.strerror}); give another file."
        ) from error


def _indices(count: int, limit: int | None) -> range:
    return range(min(count, limit or count))


def _or_zeros(points: np.ndarray) -> np.ndarray:
    """Return the first hand's (P, 3) points as float64, zeros where there is no hand."""
    return points[0].astype(np.float64) if len(points) else np.zeros(points.shape[1:])

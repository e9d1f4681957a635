"""Training crops of a labelled image: around true keypoints and around candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.crops import hand_regions
from handmesh_ros.training.data.geometry import View, warp_labels
from handmesh_ros.training.data.sample import Sample
from handmesh_ros.training.evaluation.metrics import box_iou, clip_boxes
from handmesh_ros.training.refinement.regions import draw_errors, spoil_regions

LEAST_VISIBLE = 0.2
"""Minimum visible fraction of a training hand."""

LEAST_PIXELS = 24.0
"""Minimum longer side of the box of a training hand, pixels."""

SAME_IOU, OTHER_IOU = 0.5, 0.3
"""IoU of boxes from which a candidate is a hand, and below which it is background."""

JITTERED, CANDIDATE = 0, 1
"""Origins of a crop."""


class Finder(Protocol):
    """Proposes hands: an `Estimator` or `MultiScaleDetector` at a low threshold."""

    def detect(self, image: np.ndarray, intrinsics: np.ndarray) -> Hands:
        """Return the candidates of an image."""
        ...


@dataclass(frozen=True)
class TrainingCrops:
    """N crops of one image.

    Attributes:
        regions: (N, 2, 3) float32 crop pixels to image pixels.
        hand: (N,) index of the hand in the sample, -1 where there is none.
        origin: (N,) `JITTERED` or `CANDIDATE`.
        score: (N,) of the candidate, 1 for jittered ones.
    """

    regions: np.ndarray
    hand: np.ndarray
    origin: np.ndarray
    score: np.ndarray

    @staticmethod
    def joined(parts: list[TrainingCrops]) -> TrainingCrops:
        """Return the crops of several one after another."""
        return TrainingCrops(
            np.concatenate([part.regions for part in parts]),
            np.concatenate([part.hand for part in parts]),
            np.concatenate([part.origin for part in parts]),
            np.concatenate([part.score for part in parts]),
        )


def is_learnt(sample: Sample) -> np.ndarray:
    """Return (N,) bool: hands that are shown well enough to learn from."""
    extent = (sample.box[:, 2:] - sample.box[:, :2]).max(axis=1, initial=0)
    return (sample.visible_fraction >= LEAST_VISIBLE) & (extent >= LEAST_PIXELS)


def jittered_crops(sample: Sample, views: int, rng: np.random.Generator) -> TrainingCrops:
    """Return crops around the true keypoints, as far off as those of candidates.

    Args:
        sample: a labelled image.
        views: crops of each hand.
        rng: where the random numbers come from.
    """
    hand = np.repeat(np.flatnonzero(is_learnt(sample)), views)
    true = hand_regions(sample.keypoints_2d[hand])
    regions = spoil_regions(true, draw_errors(len(hand), rng))
    return TrainingCrops(
        regions, hand, np.full(len(hand), JITTERED), np.ones(len(hand), np.float32)
    )


def candidate_crops(sample: Sample, found: Hands) -> TrainingCrops:
    """Return the crops of candidates, each once for a hand or for none.

    Those that lie between, and those on hands that are not learnt from, are left out; so are
    those on no hand where labels may be missing, as on photographs.

    Args:
        sample: a labelled image.
        found: its candidates, best score first.
    """
    height, width = sample.image.shape[:2]
    boxes = clip_boxes(found.box, width, height)
    true = clip_boxes(sample.box, width, height)
    overlap = box_iou(boxes, true) if len(true) else np.zeros((len(found), 1))
    learnt, complete = is_learnt(sample), bool(sample.has_3d.all())
    hand = np.full(len(found), -1)
    kept = np.zeros(len(found), bool)
    for index in range(len(found)):
        best = int(overlap[index].argmax())
        if overlap[index, best] >= SAME_IOU:
            kept[index], hand[index] = learnt[best], best
        elif overlap[index, best] < OTHER_IOU:
            kept[index] = complete
    chosen = np.flatnonzero(kept)
    return TrainingCrops(
        hand_regions(found.keypoints_2d[chosen]),
        hand[chosen],
        np.full(len(chosen), CANDIDATE),
        found.score[chosen].astype(np.float32),
    )


def training_crops(
    sample: Sample, finder: Finder | None, views: int, rng: np.random.Generator
) -> TrainingCrops:
    """Return the training crops of an image.

    Args:
        sample: a labelled image.
        finder: proposes hands; None leaves candidates out.
        views: crops around the true keypoints of each hand.
        rng: where the random numbers come from.
    """
    chosen = jittered_crops(sample, views, rng)
    if finder is None:
        return chosen
    found = finder.detect(sample.image, sample.intrinsics)
    return TrainingCrops.joined([chosen, candidate_crops(sample, found)])


def mirrored_sample(sample: Sample) -> Sample:
    """Return the image and its labels, mirrored."""
    height, width = sample.image.shape[:2]
    fx, fy, cx, cy = np.asarray(sample.intrinsics, np.float64)
    view = View(width, height, np.array([fx, fy, width - 1 - cx, cy]), flip=True)
    return warp_labels(sample, view).replace(
        image=np.ascontiguousarray(sample.image[:, ::-1]),
        mask=None if sample.mask is None else sample.mask[:, ::-1].copy(),
    )

"""`Teacher`: finds the hands of a photograph at any cost, so that they can be labelled.

Every detection network runs on the image and its mirror image, whole and on overlapping tiles, at
a low score threshold. The refinement network reads each candidate with a test-time flip, and
rejected ones at all four rotations. The evidence is summed, hands are confirmed on crops of their
own, and the agreement of all readings is reported: two readings of the same pixels make the same
mistakes, so that shirt lettering passes and sides are wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.crops import (
    CROP_SIDE,
    hand_regions,
    regions_alike,
    scaled_regions,
    turned_regions,
)
from handmesh_ros.inference.estimator import Estimator
from handmesh_ros.inference.evidence import distinct, two_way_score
from handmesh_ros.inference.preprocess import intrinsics_from_fov
from handmesh_ros.inference.refiner import HandRefiner
from handmesh_ros.inference.refining import RETRY_TURNS_DEG
from handmesh_ros.inference.tiles import propose_on_tiles

CANDIDATE_SCORE = 0.05
"""Score of a find from which its place is read."""

MOST_CANDIDATES = 64
"""Places that are read in an image, the best first."""

TILED_ACROSS = (2, 3)
"""Tiles beside each other: two by two in every image, three by three in large ones."""

LARGE_IMAGE = 1000
"""Pixels of the longer side from which an image is large."""

RETRY_SCORE = 0.1
"""Score of a candidate that failed from which it is read at other turns, too."""

TURNED_PRESENCE = 0.2
"""Probability of a hand at one of the other turns from which it is read there mirrored, too."""

AGREEMENT = 0.1
"""Readings agree about the keypoints up to this mean distance, in hand sizes."""

WIDER, TILT_DEG = 1.3, 20.0
"""How crops differ that confirm a hand: larger by this factor, turned both ways by this."""

Proposer = Callable[[np.ndarray], Hands]
"""Finds hands, or places that may be, in an (H, W, 3) uint8 RGB image."""


@dataclass(frozen=True)
class Readings:
    """N places of an image, each read R times: as it is and mirrored, on one crop or several.

    Attributes:
        keypoints: (N, 21, 2) pixels, the mean of the first two readings.
        right_probability: (N,) P(right hand), the mean of all.
        presence: (N, R) probability that the place shows a hand.
        gap: (N,) mean distance of two readings' keypoints, in hand sizes; of several crops that
            of the first or of most, whichever is greater.
        is_same_side: (N,) bool, all say the same side.
    """

    keypoints: np.ndarray
    right_probability: np.ndarray
    presence: np.ndarray
    gap: np.ndarray
    is_same_side: np.ndarray

    @property
    def agree(self) -> np.ndarray:
        """(N,) bool, the readings agree in side and keypoints."""
        return self.is_same_side & (self.gap <= AGREEMENT)

    def __getitem__(self, index: np.ndarray) -> Readings:
        return Readings(**{name: values[index] for name, values in vars(self).items()})

    @classmethod
    def joined(cls, parts: Sequence[Readings]) -> Readings:
        """Return the readings of all parts, at least one, in their order."""
        return cls(
            **{
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in vars(parts[0])
            }
        )


@dataclass(frozen=True)
class Findings:
    """N hands that a teacher found in an image, no hand twice, the surest first.

    Attributes:
        readings: of the hands.
        score: (N,) probability that it is a hand.
    """

    readings: Readings
    score: np.ndarray


class Teacher:
    """Finds hands at any cost.

    Calls are made from one thread at a time.

    Args:
        estimators: detection networks; their score thresholds are set.
        refiner: reads hands off crops.
        proposers: find more places to read; their scores count as those of the networks.
    """

    def __init__(
        self,
        estimators: Sequence[Estimator],
        refiner: HandRefiner,
        proposers: Sequence[Proposer] = (),
    ) -> None:
        self._estimators = list(estimators)
        self._refiner, self._proposers = refiner, list(proposers)
        for estimator in self._estimators:
            estimator.score_threshold = CANDIDATE_SCORE

    @property
    def model_id(self) -> str:
        """Names and versions of all models."""
        backends = [*(estimator.backend for estimator in self._estimators), self._refiner.backend]
        return " + ".join(backend.sidecar.model_id for backend in backends)

    def detect(self, image: np.ndarray, least_score: float = 0.0) -> Findings:
        """Find the hands of an image.

        Args:
            image: (H, W, 3) uint8 RGB.
            least_score: hands below it are left out.
        """
        read, prior, is_turned = self._read_places(image)
        score = two_way_score(read.presence, prior, read.agree, is_turned)
        seen = np.flatnonzero(score >= least_score)
        kept = seen[distinct(read.keypoints[seen], score[seen])]
        read = self.confirm(image, read[kept])
        score = two_way_score(read.presence, prior[kept], read.agree, is_turned[kept])
        order = np.argsort(-score, kind="stable")
        order = order[score[order] >= least_score]
        return Findings(read[order], score[order])

    def propose(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints (N, 21, 2) and scores (N,) of places that differ, the best first.

        Args:
            image: (H, W, 3) uint8 RGB.
        """
        width = image.shape[1]
        flipped = _flipped(image)
        found = list(self._proposed(image))
        found += [
            (mirrored_points(points, width), score) for points, score in self._proposed(flipped)
        ]
        keypoints = np.concatenate([points for points, _ in found])
        score = np.concatenate([score for _, score in found])
        order = np.argsort(-score, kind="stable")
        keypoints, score = keypoints[order], score[order]
        alike = regions_alike(hand_regions(keypoints))
        kept: list[int] = []
        for index in range(len(score)):
            if len(kept) < MOST_CANDIDATES and not alike[index, kept].any():
                kept.append(index)
        return keypoints[kept], score[kept]

    def read(self, image: np.ndarray, regions: np.ndarray) -> Readings:
        """Read places of an image as they are and mirrored.

        Args:
            image: (H, W, 3) uint8 RGB.
            regions: (N, 2, 3) maps from crop pixels to image pixels.
        """
        width = image.shape[1]
        camera = intrinsics_from_fov(*image.shape[:2])
        one = self._refiner.read(image, regions, camera)
        other = self._refiner.read(_flipped(image), mirrored_regions(regions, width), camera)
        points = np.stack([one.keypoints_2d, mirrored_points(other.keypoints_2d, width)])
        right = np.stack([one.right_probability, 1.0 - other.right_probability])
        presence = np.stack([one.score * one.refined, other.score * other.refined], axis=1)
        return Readings(
            keypoints=points.mean(0),
            right_probability=right.mean(0),
            presence=presence,
            gap=_gap(points[0], points[1]),
            is_same_side=(right[0] >= 0.5) == (right[1] >= 0.5),
        )

    def confirm(self, image: np.ndarray, read: Readings) -> Readings:
        """Read hands again, on crops around their own keypoints that differ in size and turn.

        Args:
            image: (H, W, 3) uint8 RGB.
            read: the hands.

        Returns:
            The same keypoints; presence, agreement and side of all the crops.
        """
        own = hand_regions(read.keypoints)
        readings = [
            self.read(image, own),
            self.read(image, scaled_regions(own, WIDER)),
            *(self.read(image, turned_regions(own, turn)) for turn in (-TILT_DEG, TILT_DEG)),
        ]
        gaps = [np.maximum(_gap(each.keypoints, read.keypoints), each.gap) for each in readings]
        right = np.stack([each.right_probability for each in readings])
        is_right = right >= 0.5
        same = np.all([each.is_same_side for each in readings], axis=0)
        return Readings(
            keypoints=read.keypoints,
            right_probability=right.mean(0),
            presence=np.concatenate([each.presence for each in readings], axis=1),
            gap=np.maximum(gaps[0], np.median(gaps, axis=0)),
            is_same_side=same & (is_right == is_right[0]).all(0),
        )

    def close(self) -> None:
        """Free all models; the teacher cannot be used afterwards."""
        for estimator in self._estimators:
            estimator.close()
        self._refiner.close()

    def _read_places(self, image: np.ndarray) -> tuple[Readings, np.ndarray, np.ndarray]:
        """Read all places of an image, those that fail at other turns, too.

        Returns:
            The readings, the candidates' scores (N,), and (N,) whether the crops were turned.
        """
        keypoints, prior = self.propose(image)
        regions = hand_regions(keypoints)
        read = self.read(image, regions)
        upright = np.zeros(len(prior), bool)
        score = two_way_score(read.presence, prior, read.agree, upright)
        again = np.flatnonzero((score < 0.5) & (prior >= RETRY_SCORE))
        turned = [turned_regions(regions[again], turn) for turn in RETRY_TURNS_DEG]
        others, of = np.concatenate(turned), np.tile(again, len(RETRY_TURNS_DEG))
        camera = intrinsics_from_fov(*image.shape[:2])
        shows = np.flatnonzero(self._refiner.read(image, others, camera).score >= TURNED_PRESENCE)
        read = Readings.joined([read, self.read(image, others[shows])])
        prior = np.concatenate([prior, prior[of[shows]]])
        return read, prior, np.concatenate([upright, np.ones(len(shows), bool)])

    def _proposed(self, image: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield keypoints (N, 21, 2) and scores (N,) of each network and each scale."""
        camera = intrinsics_from_fov(*image.shape[:2])
        tiled = TILED_ACROSS if max(image.shape[:2]) >= LARGE_IMAGE else TILED_ACROSS[:1]
        for estimator in self._estimators:
            for hands in (
                estimator.detect(image, camera),
                *(propose_on_tiles(estimator, image, camera, across)[0] for across in tiled),
            ):
                yield hands.keypoints_2d, hands.score
        for propose in self._proposers:
            hands = propose(image)
            yield hands.keypoints_2d, hands.score


def mirrored_points(points: np.ndarray, width: int) -> np.ndarray:
    """Return (..., 2) points of an image in its mirror image, pixels; twice gives the same."""
    return np.stack([width - 1 - points[..., 0], points[..., 1]], axis=-1)


def mirrored_regions(to_image: np.ndarray, width: int) -> np.ndarray:
    """Return where regions lie in the mirror image: their crops are the mirrored crops.

    Args:
        to_image: (N, 2, 3) float32 maps from crop pixels to image pixels.
        width: of the image, pixels.
    """
    across = to_image[:, :, 0]
    mirrored = to_image.copy()
    mirrored[:, :, 0] = -across
    mirrored[:, :, 2] += CROP_SIDE * across
    mirrored[:, 0] *= -1
    mirrored[:, 0, 2] += width - 1
    return mirrored


def _gap(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return (N,) mean distances of keypoints (N, 21, 2), in sizes of the larger hand."""
    extent = np.maximum(np.ptp(points, axis=1).max(-1), np.ptp(others, axis=1).max(-1))
    return np.linalg.norm(points - others, axis=-1).mean(-1) / np.maximum(extent, 1.0)


def _flipped(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[:, ::-1])

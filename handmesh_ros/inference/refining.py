"""`RefiningEstimator`: two-stage detection. The single-stage network proposes, crops are refined.

Steps for an image: propose, read crops, score, retry rotated crops, suppress duplicates. Hands of
a video can also be read from crops alone, where they are expected.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from handmesh_ros.common.renamed import renamed_call
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.backends.base import Backend
from handmesh_ros.inference.crops import CROP_SIDE, hand_regions, regions_alike, turned_regions
from handmesh_ros.inference.effort import Effort
from handmesh_ros.inference.estimator import Estimator, Timings
from handmesh_ros.inference.evidence import are_among, distinct, summed_score
from handmesh_ros.inference.multi_scale import MultiScaleDetector
from handmesh_ros.inference.preprocess import check_image, check_intrinsics, intrinsics_from_fov
from handmesh_ros.inference.refiner import HandRefiner, check_pair
from handmesh_ros.inference.tiles import propose_on_tiles

CANDIDATE_SCORE = 0.12
"""Minimum score of a candidate; far below the score threshold of the single-stage network, because
refinement rejects false candidates."""

MAX_REFINED_HANDS = 10

CANDIDATES_A_HAND = {Effort.FAST: 1, Effort.BALANCED: 2, Effort.BEST: 4}
"""Candidates that are read for each hand that may be refined."""

RETRY_TURNS_DEG = (90.0, 180.0, 270.0)
"""Rejected candidates are read again from crops rotated by these angles: the candidate's keypoints
may give a wrong orientation."""

RETRY_SCORE = 0.2
"""Minimum score of a rejected candidate that is read again."""

SMALLEST_HAND_PX = 24.0
"""Minimum longer side of the box of a reading, pixels: below it, logos and lettering are mistaken
for hands."""

FOLLOWED_SCORE = 0.5
"""Candidate score of a hand that is followed."""

LOST_PRESENCE = 0.3
"""Presence below which a followed hand is lost."""


class RefiningEstimator:
    """Detects hands with the single-stage network and refines each on its own crop.

    As an `Estimator`, it belongs to one thread at a time.

    Args:
        finder: proposes candidates; its own result is kept for hands that are not refined.
        refiner: reads crops; None leaves the finder alone.
        effort: level of computational effort.
        max_refined_hands: of an image at most.
        score_threshold: as of an `Estimator`; None takes those of the models.
        lack: why there is no refiner, if one was wanted.

    Attributes:
        finder: proposes candidates.
        effort: level of computational effort.
        refine: whether hands are refined; may be set between calls. Without, results are the
            finder's own.
        max_refined_hands: may be set between calls.
        template: the hand model.
        timings: of the last call.
        crops: number of crops read in the last call.
        lack: why there is no refiner, or "".
        problem: why hands of the last call were not refined though `refine` is set, or "".

    Raises:
        HandmeshError: the two models make different hands.
    """

    def __init__(
        self,
        finder: Estimator | MultiScaleDetector,
        refiner: HandRefiner | None,
        *,
        effort: Effort = Effort.FAST,
        max_refined_hands: int = MAX_REFINED_HANDS,
        score_threshold: float | None = None,
        lack: str = "",
    ) -> None:
        self.finder = finder
        self._refiner: HandRefiner | None = None
        self.effort = effort
        self.max_refined_hands = max_refined_hands
        self.refine = True
        self.template = finder.template
        self.timings = Timings()
        self.crops = 0
        self.lack = self.problem = lack
        self.score_threshold = score_threshold  # type: ignore[assignment]
        if refiner is not None:
            self.add_refiner(refiner)

    def add_refiner(self, refiner: HandRefiner) -> None:
        """Refine hands from now on; the estimator becomes the owner of the network.

        It runs once, so that the first image is as fast as the others.

        Raises:
            HandmeshError: the two models make different hands, or the network does not run.
        """
        check_pair(self.backend.sidecar, refiner.backend.sidecar)
        blank, camera = np.zeros((CROP_SIDE, CROP_SIDE, 3), np.uint8), np.array([1.0, 1.0, 0, 0])
        refiner.read(blank, np.eye(2, 3, dtype=np.float32)[None], camera)
        self._refiner, self.lack, self.problem = refiner, "", ""

    @property
    def backend(self) -> Backend:
        """Runs the graph that finds hands."""
        return self.finder.backend

    @property
    def refines(self) -> bool:
        """Whether hands are refined now."""
        return self.refine and self._refiner is not None

    @property
    def model_id(self) -> str:
        """Names and versions of all models that are used."""
        if self._refiner is None or not self.refine:
            return self.finder.model_id
        return f"{self.finder.model_id} + {self._refiner.backend.sidecar.model_id}"

    @property
    def score_threshold(self) -> float:
        """Minimum score of a hand; may be set between calls, None takes the models'."""
        if self._score_threshold is not None:
            return self._score_threshold
        if self._refiner is not None and self.refine:
            return self._refiner.backend.sidecar.score_threshold
        return self.finder.score_threshold

    @score_threshold.setter
    def score_threshold(self, threshold: float | None) -> None:
        self.finder.score_threshold = threshold  # type: ignore[assignment]
        self._score_threshold = threshold

    def detect(
        self,
        image: np.ndarray,
        intrinsics: np.ndarray | tuple[float, ...] | list[float] | None = None,
        expected: np.ndarray | None = None,
    ) -> Hands:
        """Detect the hands in one image; result and errors are those of `Estimator`.

        Hands beyond `max_refined_hands` are the single stage's own readings, and so are all where
        the refinement network fails; `Hands.refined` tells them apart.

        Args:
            image: (H, W, 3) uint8 RGB.
            intrinsics: (4,) fx, fy, cx, cy, pixels of `image`; None assumes a field of view.
            expected: (M, 21, 2) keypoints of hands that are followed, image pixels, which are
                read as well; None for none.
        """
        self.crops, self.timings = 0, Timings()
        self.problem = self.lack if self.refine else ""
        if self._refiner is None or not self.refine:
            hands = self.finder.detect(image, intrinsics)
            self.timings = self.finder.timings
            return hands
        check_image(image)
        camera = _camera(image, intrinsics)
        proposed = self._propose(image, camera)
        start, proposed_ms = time.perf_counter(), self.timings.total_ms
        try:
            hands = self._refine(image, camera, proposed, expected)
        except HandmeshError as problem:
            self.problem = str(problem)
            hands = self._unrefined(proposed)
        read_ms = self.timings.total_ms - proposed_ms
        rest_ms = 1e3 * (time.perf_counter() - start) - read_ms
        self.timings = self.timings + Timings(decode_ms=max(rest_ms, 0.0))
        return hands

    __call__ = renamed_call("detect")

    def follow(
        self,
        image: np.ndarray,
        intrinsics: np.ndarray | tuple[float, ...] | list[float] | None,
        expected: np.ndarray,
    ) -> Followed:
        """Read hands from crops where they are expected, without full detection.

        Of two crops that end on one hand, that whose hand was expected nearer keeps it.

        Args:
            image: (H, W, 3) uint8 RGB.
            intrinsics: as for a call.
            expected: (M, 21, 2) keypoints, image pixels.

        Raises:
            HandmeshError: the image or the intrinsics cannot be used, or the network fails.
        """
        check_image(image)
        camera = _camera(image, intrinsics)
        self.crops, self.problem, self.timings = 0, "", Timings()
        start = time.perf_counter()
        read = self._read(image, hand_regions(expected), camera)
        presence = read.score
        present = np.flatnonzero(read.refined & (presence >= LOST_PRESENCE))
        nearness = -_mean_distance(read.keypoints_2d[present], expected[present])
        kept = present[distinct(read.keypoints_2d[present], nearness)]
        prior, trust = np.full(len(kept), FOLLOWED_SCORE), read.keypoint_scores[kept].mean(1)
        score = summed_score(presence[kept], prior, trust, Effort.FAST)
        order = np.argsort(-score, kind="stable")
        is_seen = np.zeros(len(expected), bool)
        is_seen[kept] = True
        hands = read[kept[order]].replace(score=score[order])
        rest_ms = 1e3 * (time.perf_counter() - start) - self.timings.total_ms
        self.timings = self.timings + Timings(decode_ms=max(rest_ms, 0.0))
        return Followed(hands, is_seen, presence)

    def close(self) -> None:
        """Free all models; they cannot be used afterwards."""
        self.finder.close()
        if self._refiner is not None:
            self._refiner.close()

    def _propose(self, image: np.ndarray, camera: np.ndarray) -> Hands:
        """Return candidates of the single stage, the best first."""
        self.finder.score_threshold = CANDIDATE_SCORE
        try:
            candidates = self.finder.detect(image, camera)
            self.timings = self.finder.timings
            if self.effort is Effort.BEST:
                on_tiles, timings = propose_on_tiles(self.finder, image, camera)
                candidates = Hands.joined([candidates, on_tiles])
                candidates = candidates[np.argsort(-candidates.score, kind="stable")]
                self.timings = self.timings + timings
        finally:
            self.finder.score_threshold = self._score_threshold  # type: ignore[assignment]
        return candidates

    def _refine(
        self, image: np.ndarray, camera: np.ndarray, proposed: Hands, expected: np.ndarray | None
    ) -> Hands:
        known = np.zeros((0, 21, 2), np.float32) if expected is None else expected
        new = proposed
        if len(known):
            new = new[np.flatnonzero(~are_among(new.keypoints_2d, known))]
        new = new[_one_per_region(new)]
        room = self.max_refined_hands * CANDIDATES_A_HAND[self.effort]
        known = known[:room]
        candidates = new[: room - len(known)]
        regions = hand_regions(np.concatenate([known, candidates.keypoints_2d]))
        prior = np.concatenate([np.full(len(known), FOLLOWED_SCORE), candidates.score])
        read = self._read(image, regions, camera)
        score = summed_score(read.score, prior, read.keypoint_scores.mean(1), self.effort)
        failed = np.flatnonzero(~read.refined[len(known) :])
        if self.effort is not Effort.FAST:
            again = (score < self._sure_score) & (prior >= RETRY_SCORE) & read.refined
            read, score = self._retry_rotated(image, camera, regions, prior, again, read, score)
        size = (read.box[:, 2:] - read.box[:, :2]).max(1)
        counts = read.refined & (size >= SMALLEST_HAND_PX)
        score = np.where(counts, score, 0.0).astype(np.float32)
        read = read.replace(score=score)[np.flatnonzero(counts)]
        hands = read[np.flatnonzero(read.score >= self.score_threshold)]
        hands = hands[distinct(hands.keypoints_2d, hands.score)]
        if len(hands) > self.max_refined_hands:
            hands, others = hands[: self.max_refined_hands], new
        else:
            others = Hands.joined([candidates[failed], new[room - len(known) :]])
        others = self._unrefined(others)
        if not len(others):
            return hands
        others = others[np.flatnonzero(~are_among(others.keypoints_2d, hands.keypoints_2d))]
        hands = Hands.joined([hands, others])
        return hands[np.argsort(-hands.score, kind="stable")]

    @property
    def _sure_score(self) -> float:
        assert self._refiner is not None
        return self._refiner.backend.sidecar.score_threshold

    def _read(self, image: np.ndarray, regions: np.ndarray, camera: np.ndarray) -> Hands:
        assert self._refiner is not None
        self.crops += len(regions)
        read = self._refiner.read(image, regions, camera)
        self.timings = self.timings + self._refiner.timings
        return read

    def _retry_rotated(
        self,
        image: np.ndarray,
        camera: np.ndarray,
        regions: np.ndarray,
        prior: np.ndarray,
        again: np.ndarray,
        read: Hands,
        score: np.ndarray,
    ) -> tuple[Hands, np.ndarray]:
        """Read rejected candidates from rotated crops; return all readings and scores."""
        turned = [turned_regions(regions[again], turn) for turn in RETRY_TURNS_DEG]
        more = self._read(image, np.concatenate(turned), camera)
        prior = np.tile(prior[again], len(RETRY_TURNS_DEG))
        trust = more.keypoint_scores.mean(1)
        scores = summed_score(more.score, prior, trust, self.effort, is_turned=True)
        return Hands.joined([read, more]), np.concatenate([score, scores])

    def _unrefined(self, proposed: Hands) -> Hands:
        """Return the candidates that are hands by the finder's own judgement."""
        return proposed[np.flatnonzero(proposed.score >= self.finder.score_threshold)]


@dataclass(frozen=True)
class Followed:
    """Readings of M expected hands from their crops.

    Attributes:
        hands: those that are seen, best score first.
        is_seen: (M,) which of the expected ones they are.
        presence: (M,) probability that each crop shows a hand.
    """

    hands: Hands
    is_seen: np.ndarray
    presence: np.ndarray


def _camera(image: np.ndarray, intrinsics: object) -> np.ndarray:
    if intrinsics is None:
        return intrinsics_from_fov(*image.shape[:2])
    return check_intrinsics(intrinsics)  # type: ignore[arg-type]


def _one_per_region(candidates: Hands) -> np.ndarray:
    """Return the candidates to read: of those with nearly the same crop only the best."""
    alike = regions_alike(hand_regions(candidates.keypoints_2d))
    kept: list[int] = []
    for index in range(len(candidates)):
        if not alike[index, kept].any():
            kept.append(index)
    return np.array(kept, np.intp)


def _mean_distance(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    gap = points - others
    return np.hypot(gap[..., 0], gap[..., 1]).mean(-1)

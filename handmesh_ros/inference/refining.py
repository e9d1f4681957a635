"""`RefiningEstimator`: the single stage proposes hands, a closer look at each decides and reads.

An image goes through named steps: propose, read, judge, look again, keep one reading of each hand.
Hands of a video may also be followed by closer looks alone, where they are expected.
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
"""Score of the single stage from which a place is worth a closer look; far below what it takes to
be a hand there, because the closer look sorts them out."""

MAX_REFINED_HANDS = 10

CANDIDATES_A_HAND = {Effort.FAST: 1, Effort.BALANCED: 2, Effort.BEST: 4}
"""How many candidates are looked at for each hand that may be refined."""

SECOND_TURNS_DEG = (90.0, 180.0, 270.0)
"""What failed is looked at again, turned by these: the candidate's keypoints may be wrong about
where up is."""

WORTH_A_TURN = 0.2
"""Score of a candidate that failed from which it is looked at again."""

SMALLEST_HAND_PX = 24.0
"""Longer side of its box from which a reading counts: of fewer pixels of the image, logos and
lettering look like hands."""

FOLLOWED_SCORE = 0.5
"""Counts as the candidate's score of a hand that is followed."""

LOST_PRESENCE = 0.3
"""A followed hand is not seen where its crop shows one with less probability."""


class RefiningEstimator:
    """Finds hands with the single-stage network and reads each off its own crop.

    Calls are made as those of an `Estimator`, one thread at a time.

    Args:
        finder: proposes hands; its own readings stand for hands that are not refined.
        refiner: reads crops; None leaves the finder alone.
        effort: what is done to find more hands.
        max_refined_hands: of an image at most.
        score_threshold: as of an `Estimator`; None takes those of the models.
        lack: why there is no refiner, if one was wanted.

    Attributes:
        finder: proposes hands.
        effort: what is done to find more hands.
        refine: whether hands are refined; may be set between calls. Without, results are the
            finder's own.
        max_refined_hands: may be set between calls.
        template: the hand model.
        timings: of the last call.
        crops: looked at in the last call.
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
        """Score above which a find is a hand; may be set between calls, None takes the models'."""
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
        """Find the hands in one image; result and errors are those of `Estimator`.

        Hands beyond `max_refined_hands` are the single stage's own readings, and so are all where
        the refinement network fails; `Hands.refined` says which are which.

        Args:
            image: (H, W, 3) uint8 RGB.
            intrinsics: (4,) fx, fy, cx, cy, pixels of `image`; None assumes a field of view.
            expected: (M, 21, 2) keypoints of hands that are followed, image pixels, looked at too;
                None for none.
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
        """Read hands where they are expected, without looking for others.

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
        looked_at = new[: room - len(known)]
        regions = hand_regions(np.concatenate([known, looked_at.keypoints_2d]))
        prior = np.concatenate([np.full(len(known), FOLLOWED_SCORE), looked_at.score])
        read = self._read(image, regions, camera)
        score = summed_score(read.score, prior, read.keypoint_scores.mean(1), self.effort)
        failed = np.flatnonzero(~read.refined[len(known) :])
        if self.effort is not Effort.FAST:
            again = (score < self._sure_score) & (prior >= WORTH_A_TURN) & read.refined
            read, score = self._look_again(image, camera, regions, prior, again, read, score)
        size = (read.box[:, 2:] - read.box[:, :2]).max(1)
        counts = read.refined & (size >= SMALLEST_HAND_PX)
        score = np.where(counts, score, 0.0).astype(np.float32)
        read = read.replace(score=score)[np.flatnonzero(counts)]
        hands = read[np.flatnonzero(read.score >= self.score_threshold)]
        hands = hands[distinct(hands.keypoints_2d, hands.score)]
        if len(hands) > self.max_refined_hands:
            hands, others = hands[: self.max_refined_hands], new
        else:
            others = Hands.joined([looked_at[failed], new[room - len(known) :]])
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

    def _look_again(
        self,
        image: np.ndarray,
        camera: np.ndarray,
        regions: np.ndarray,
        prior: np.ndarray,
        again: np.ndarray,
        read: Hands,
        score: np.ndarray,
    ) -> tuple[Hands, np.ndarray]:
        """Look at candidates that failed once more, turned; return all readings and scores."""
        turned = [turned_regions(regions[again], turn) for turn in SECOND_TURNS_DEG]
        more = self._read(image, np.concatenate(turned), camera)
        prior = np.tile(prior[again], len(SECOND_TURNS_DEG))
        trust = more.keypoint_scores.mean(1)
        scores = summed_score(more.score, prior, trust, self.effort, is_turned=True)
        return Hands.joined([read, more]), np.concatenate([score, scores])

    def _unrefined(self, proposed: Hands) -> Hands:
        """Return the candidates that are hands by the finder's own judgement."""
        return proposed[np.flatnonzero(proposed.score >= self.finder.score_threshold)]


@dataclass(frozen=True)
class Followed:
    """What closer looks show of M hands that were expected.

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
    """Return which candidates to look at, without those whose crops a better one nearly has."""
    alike = regions_alike(hand_regions(candidates.keypoints_2d))
    kept: list[int] = []
    for index in range(len(candidates)):
        if not alike[index, kept].any():
            kept.append(index)
    return np.array(kept, np.intp)


def _mean_distance(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    gap = points - others
    return np.hypot(gap[..., 0], gap[..., 1]).mean(-1)

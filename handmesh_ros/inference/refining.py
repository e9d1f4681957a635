"""`RefiningEstimator`: the single stage proposes hands, a closer look at each decides and reads.

An image goes through named steps: propose, choose, read, judge, look again, keep one reading of
each hand. Hands of a video may also be followed by closer looks alone, where they are expected.
"""

from __future__ import annotations

import time

import numpy as np

from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.crops import hand_regions, region_centres, region_sides
from handmesh_ros.inference.effort import Effort
from handmesh_ros.inference.evidence import distinct, summed_score
from handmesh_ros.inference.refiner import HandRefiner, check_pair
from handmesh_ros.inference.tiles import propose_on_tiles
from handmesh_ros.runtime.backend import Backend
from handmesh_ros.runtime.estimator import Estimator, Timings
from handmesh_ros.runtime.preprocess import check_image, check_intrinsics, intrinsics_from_fov
from handmesh_ros.runtime.two_looks import TwoLooks

CANDIDATE_SCORE = 0.12
"""Score of the single stage from which a place is worth a closer look; far below what it takes to
be a hand there, because the closer look sorts them out."""

MAX_REFINED_HANDS = 10

SAME_REGION_DISTANCE, SAME_REGION_RATIO = 0.12, 1.3
"""Candidates whose regions are nearer than this, in sides, and of more similar size, are looked at
once."""

SECOND_TURNS_DEG = (90.0, 180.0, 270.0)
"""What failed is looked at again, turned by these: the candidate's keypoints may be wrong about
where up is."""

WORTH_A_TURN = 0.2
"""Score of a candidate that failed from which it is looked at again."""

LOST_SCORE = 0.3
"""A followed hand whose presence is below this is no longer seen there."""


class RefiningEstimator:
    """Finds hands with the single-stage network and reads each off its own crop.

    Calls are made as those of an `Estimator`, one thread at a time.

    Args:
        finder: proposes hands; its own readings stand for hands that are not refined.
        refiner: reads crops; None leaves the finder alone.
        effort: what is done to find more hands.
        max_refined_hands: readings of an image at most.

    Attributes:
        finder: proposes hands.
        refine: whether hands are refined; may be set between calls. Without, results are the
            finder's own.
        max_refined_hands: may be set between calls.
        template: the hand model.
        timings: of the last call.
        crops: looked at in the last call.
        found_in_full: the last call looked at the whole image.

    Raises:
        HandmeshError: the two models make different hands.
    """

    def __init__(
        self,
        finder: Estimator | TwoLooks,
        refiner: HandRefiner | None,
        *,
        effort: Effort = Effort.FAST,
        max_refined_hands: int = MAX_REFINED_HANDS,
        score_threshold: float | None = None,
    ) -> None:
        if refiner is not None:
            check_pair(finder.backend.sidecar, refiner.backend.sidecar)
        self.finder = finder
        self.effort = effort
        self.max_refined_hands = max_refined_hands
        self.refine = refiner is not None
        self.template = finder.template
        self.timings = Timings()
        self.crops = 0
        self.found_in_full = True
        self._refiner = refiner
        self.score_threshold = score_threshold  # type: ignore[assignment]

    @property
    def backend(self) -> Backend:
        """Runs the graph that finds hands."""
        return self.finder.backend

    @property
    def can_refine(self) -> bool:
        """Whether there is a refinement network."""
        return self._refiner is not None

    @property
    def refines(self) -> bool:
        """Whether hands are refined now."""
        return self.refine and self._refiner is not None

    @property
    def model_id(self) -> str:
        """Names and versions of all models."""
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
        self.finder.score_threshold = None  # type: ignore[assignment]
        return self.finder.score_threshold

    @score_threshold.setter
    def score_threshold(self, threshold: float | None) -> None:
        self.finder.score_threshold = threshold  # type: ignore[assignment]
        self._score_threshold = threshold

    def __call__(
        self,
        image: np.ndarray,
        intrinsics: np.ndarray | tuple[float, ...] | list[float] | None = None,
    ) -> Hands:
        """Find the hands in one image; arguments, result and errors are those of `Estimator`.

        Hands beyond `max_refined_hands` are the single stage's own readings; `Hands.refined` says
        which are which.
        """
        self.crops, self.found_in_full = 0, True
        if self._refiner is None or not self.refine:
            self.finder.score_threshold = self._score_threshold  # type: ignore[assignment]
            hands = self.finder(image, intrinsics)
            self.timings = self.finder.timings
            return hands
        check_image(image)
        camera = _camera(image, intrinsics)
        candidates = self._propose(image, camera)
        start = time.perf_counter()
        candidates = _one_per_region(candidates)
        chosen = candidates[: self.max_refined_hands]
        rest = candidates[self.max_refined_hands :]
        preprocess_ms = inference_ms = 0.0
        read = self._read(image, hand_regions(chosen.keypoints_2d), camera)
        score = summed_score(read.score, chosen.score)
        preprocess_ms += self._refiner.preprocess_ms
        inference_ms += self._refiner.inference_ms
        if self.effort is not Effort.FAST:
            again = np.flatnonzero((score < self.score_threshold) & (chosen.score >= WORTH_A_TURN))
            again = again[: max(self.max_refined_hands - len(chosen), 0) + 4]
            if len(again):
                read, score = self._look_again(image, camera, chosen, read, score, again)
                preprocess_ms += self._refiner.preprocess_ms
                inference_ms += self._refiner.inference_ms
        hands = self._keep(read.replace(score=score), score)
        if len(rest):
            hands = self._add_unrefined(hands, rest)
        self._add_up(preprocess_ms, inference_ms, 1e3 * (time.perf_counter() - start))
        return hands

    def follow(
        self,
        image: np.ndarray,
        intrinsics: np.ndarray | tuple[float, ...] | list[float] | None,
        keypoints: np.ndarray,
        score: np.ndarray,
    ) -> tuple[Hands, np.ndarray]:
        """Read hands where they are expected, without looking for others.

        Args:
            image: (H, W, 3) uint8 RGB.
            intrinsics: as for a call.
            keypoints: (N, 21, 2) expected, image pixels.
            score: (N,) of the hands when they were last seen.

        Returns:
            The hands, best score first, and (N,) whether each that was expected is still there:
            False where its crop shows none, or where another's crop ended on the same hand.

        Raises:
            HandmeshError: the image or the intrinsics cannot be used.
        """
        assert self._refiner is not None
        check_image(image)
        camera = _camera(image, intrinsics)
        self.crops, self.found_in_full, self.timings = 0, False, Timings()
        start = time.perf_counter()
        read = self._read(image, hand_regions(keypoints), camera)
        present = np.flatnonzero(read.score >= LOST_SCORE)
        seen = read[present].replace(score=summed_score(read.score[present], score[present]))
        nearness = -_mean_distance(seen.keypoints_2d, keypoints[present])
        kept = distinct(seen, nearness)
        still_there = np.zeros(len(keypoints), bool)
        still_there[present[kept]] = True
        hands = seen[kept]
        hands = hands[np.argsort(-hands.score, kind="stable")]
        refiner = self._refiner
        total_ms = 1e3 * (time.perf_counter() - start)
        self._add_up(refiner.preprocess_ms, refiner.inference_ms, total_ms)
        return hands, still_there

    def close(self) -> None:
        """Free all models; they cannot be used afterwards."""
        self.finder.close()
        if self._refiner is not None:
            self._refiner.close()

    def _propose(self, image: np.ndarray, camera: np.ndarray) -> Hands:
        threshold = self._score_threshold
        self.finder.score_threshold = CANDIDATE_SCORE
        try:
            candidates = self.finder(image, camera)
            self.timings = self.finder.timings
            if self.effort is Effort.BEST:
                on_tiles, timings = propose_on_tiles(self.finder, image, camera)
                candidates = Hands.joined([candidates, on_tiles])
                candidates = candidates[np.argsort(-candidates.score, kind="stable")]
                self.timings = self.timings + timings
        finally:
            self.finder.score_threshold = threshold  # type: ignore[assignment]
        return candidates

    def _read(self, image: np.ndarray, regions: np.ndarray, camera: np.ndarray) -> Hands:
        assert self._refiner is not None
        self.crops += len(regions)
        return self._refiner.read(image, regions, camera)

    def _look_again(
        self,
        image: np.ndarray,
        camera: np.ndarray,
        chosen: Hands,
        read: Hands,
        score: np.ndarray,
        again: np.ndarray,
    ) -> tuple[Hands, np.ndarray]:
        """Look at candidates that failed once more, turned; return the readings with these."""
        keypoints = chosen.keypoints_2d[again]
        regions = [hand_regions(keypoints, turn_deg=turn) for turn in SECOND_TURNS_DEG]
        more = self._read(image, np.concatenate(regions), camera)
        candidate = np.tile(chosen.score[again], len(SECOND_TURNS_DEG))
        return (
            Hands.joined([read, more]),
            np.concatenate([score, summed_score(more.score, candidate)]),
        )

    def _keep(self, read: Hands, score: np.ndarray) -> Hands:
        """Return the readings that are hands, one for each hand, best first."""
        passed = read[np.flatnonzero(score >= self.score_threshold)]
        return passed[distinct(passed, passed.score)]

    def _add_unrefined(self, hands: Hands, rest: Hands) -> Hands:
        """Add the finder's own readings of hands that there was no room to refine."""
        self.finder.score_threshold = self._score_threshold  # type: ignore[assignment]
        rest = rest[np.flatnonzero(rest.score >= self.finder.score_threshold)]
        hands = Hands.joined([hands, rest])
        order = np.where(hands.refined, 1.0, 0.0) + hands.score
        hands = hands[distinct(hands, order)]
        return hands[np.argsort(-hands.score, kind="stable")]

    def _add_up(self, preprocess_ms: float, inference_ms: float, total_ms: float) -> None:
        decode_ms = max(total_ms - preprocess_ms - inference_ms, 0.0)
        self.timings = self.timings + Timings(preprocess_ms, inference_ms, decode_ms)


def _camera(image: np.ndarray, intrinsics: object) -> np.ndarray:
    if intrinsics is None:
        return intrinsics_from_fov(*image.shape[:2])
    return check_intrinsics(intrinsics)  # type: ignore[arg-type]


def _one_per_region(candidates: Hands) -> Hands:
    """Drop candidates that would be looked at in nearly the same crop as a better one."""
    regions = hand_regions(candidates.keypoints_2d)
    centres, sides = region_centres(regions), region_sides(regions)
    kept: list[int] = []
    for index in range(len(candidates)):
        gap = np.hypot(*(centres[kept] - centres[index]).T)
        ratio = sides[kept] / sides[index]
        same = (gap < SAME_REGION_DISTANCE * np.maximum(sides[kept], sides[index])) & (
            np.maximum(ratio, 1 / ratio) < SAME_REGION_RATIO
        )
        turn = (regions[kept, 0, :2] * regions[index, 0, :2]).sum(-1) / (
            sides[kept] * sides[index] / 224.0**2
        )
        if not (same & (turn > 0.8)).any():
            kept.append(index)
    return candidates[kept]


def _mean_distance(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    gap = points - others
    return np.hypot(gap[..., 0], gap[..., 1]).mean(-1)

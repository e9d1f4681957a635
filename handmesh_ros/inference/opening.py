"""`open_finder`, `open_teacher`: from models and options to a hand detector."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.selection import Opener, open_backend
from handmesh_ros.inference.effort import EFFORT_NAMES, Effort
from handmesh_ros.inference.estimator import Estimator
from handmesh_ros.inference.models import (
    BUNDLED_MODELS,
    CAMERA_MODEL,
    DETAIL_MODEL,
    REFINEMENT_MODEL,
    find_model,
)
from handmesh_ros.inference.multi_scale import MultiScaleDetector, open_multi_scale
from handmesh_ros.inference.refiner import HandRefiner
from handmesh_ros.inference.refining import MAX_REFINED_HANDS, RefiningEstimator
from handmesh_ros.inference.teacher import Proposer, Teacher

HandFinder: TypeAlias = Estimator | MultiScaleDetector | RefiningEstimator
"""Detects the hands of an image."""


@dataclass(frozen=True)
class Models:
    """Which networks find hands, each as for `Estimator.from_file`.

    Attributes:
        model: finds hands; None or "" takes the bundled one.
        detail_model: the same with a larger input, for far hands; None or "" takes the bundled one
            where `model` is the bundled one and the effort is not `Effort.FAST`, else none.
        refinement_model: reads hands off crops; None or "" takes the bundled one where `model` is
            bundled, too, else none.
    """

    model: str | Path | None = None
    detail_model: str | Path | None = None
    refinement_model: str | Path | None = None

    def files(self) -> tuple[str | Path | None, ...]:
        """Return all that are named."""
        return self.model, self.detail_model, self.refinement_model

    def refinement_model_in_use(self) -> str | Path | None:
        """Return the model that reads hands off crops, if there is one."""
        if self.refinement_model or find_model(self.model) not in BUNDLED_MODELS.values():
            return self.refinement_model
        return REFINEMENT_MODEL

    def detail_model_for(self, effort: Effort) -> str | Path | None:
        """Return the model of the far scale, or None."""
        is_own = find_model(self.model) != CAMERA_MODEL
        if self.detail_model or is_own or effort is Effort.FAST:
            return self.detail_model
        return DETAIL_MODEL

    def greatest_effort(self, *, refine: bool = True) -> Effort:
        """Return the greatest effort that these models allow.

        Args:
            refine: the refinement model is used, if there is one.
        """
        if refine and self.refinement_model_in_use():
            return Effort.BEST
        return Effort.BALANCED if self.detail_model_for(Effort.BALANCED) else Effort.FAST


def open_finder(
    models: Models | None = None,
    backend: str = "auto",
    *,
    effort: Effort | str = Effort.FAST,
    refine: bool = True,
    must_refine: bool = False,
    max_refined_hands: int = MAX_REFINED_HANDS,
    score_threshold: float | None = None,
    threads: int | None = None,
    opener: Opener = open_backend,
) -> RefiningEstimator:
    """Load all models that the effort needs.

    Args:
        models: which; None takes the bundled ones.
        backend: of all.
        effort: level of computational effort, or its name.
        refine: load the refinement network; where it cannot be used, `lack` of the result gives
            the reason.
        must_refine: that is an error.
        max_refined_hands: of an image at most.
        score_threshold: in [0, 1]; None takes those of the models.
        threads: CPU threads inside one run; None lets the backend choose.
        opener: loads a graph.

    Raises:
        HandmeshError: a model or the backend cannot be used, two models do not go together, the
            effort needs a model that is not given, or another argument is not possible.
    """
    models = models or Models()
    if effort not in EFFORT_NAMES:
        raise HandmeshError(f"There is no effort {effort!r}: give {', '.join(EFFORT_NAMES)}.")
    if max_refined_hands < 1:
        raise HandmeshError(f"max_refined_hands is {max_refined_hands}: give 1 or more.")
    effort, greatest = Effort(effort), models.greatest_effort(refine=refine)
    if not effort.is_within(greatest):
        other = " or a detail model" if effort is Effort.BALANCED else ""
        raise HandmeshError(
            f"The effort {effort.value} needs a refinement model{other}, and none is used: give "
            f"one, or the effort {greatest.value}."
        )
    finder = open_multi_scale(
        models.model,
        models.detail_model_for(effort),
        backend,
        score_threshold=score_threshold,
        threads=threads,
        opener=opener,
    )
    try:
        estimator = RefiningEstimator(
            finder,
            None,
            effort=effort,
            max_refined_hands=max_refined_hands,
            score_threshold=score_threshold,
        )
        path = models.refinement_model_in_use()
        if refine and path:
            try:
                _add_refiner(estimator, find_model(path), backend, threads, opener)
            except HandmeshError as problem:
                if must_refine:
                    raise
                estimator.lack = str(problem)
        return estimator
    except BaseException:
        finder.close()
        raise


def open_teacher(
    backend: str = "auto",
    proposers: Sequence[Proposer] = (),
    *,
    threads: int | None = None,
    opener: Opener = open_backend,
) -> Teacher:
    """Load the bundled models for a teacher.

    Args:
        backend: of all.
        proposers: find more places to read.
        threads: CPU threads inside one run; None lets the backend choose.
        opener: loads a graph.

    Raises:
        HandmeshError: a model or the backend cannot be used.
    """
    with ExitStack() as opened:
        estimators = []
        for model in (CAMERA_MODEL, DETAIL_MODEL):
            estimator = Estimator.from_file(model, backend, threads=threads, opener=opener)
            opened.callback(estimator.close)
            estimators.append(estimator)
        reader = opener(REFINEMENT_MODEL, backend, threads=threads)
        opened.callback(reader.close)
        teacher = Teacher(estimators, HandRefiner(reader), proposers)
        opened.pop_all()
    return teacher


def _add_refiner(
    estimator: RefiningEstimator,
    path: Path,
    backend: str,
    threads: int | None,
    opener: Opener,
) -> None:
    opened = opener(path, backend, threads=threads)
    try:
        estimator.add_refiner(HandRefiner(opened))
    except BaseException:
        opened.close()
        raise

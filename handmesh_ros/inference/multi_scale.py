"""Multi-scale detection: a small network input for near hands, a large one for far hands."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from handmesh_ros.common.renamed import renamed_call, renamed_names
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.backends.selection import Opener, open_backend
from handmesh_ros.inference.duplicates import suppress_duplicates
from handmesh_ros.inference.estimator import Estimator, Timings
from handmesh_ros.inference.models import CAMERA_MODEL, DETAIL_MODEL

__getattr__ = renamed_names(
    __name__, {"TwoLooks": "MultiScaleDetector", "open_looks": "open_multi_scale"}
)

NEAR, FAR = 0.2, 0.4
"""Detections of the near scale are kept from the first size on, those of the far scale up to the
second: longer side of the box relative to that of the image. Between them both are kept. Chosen
on photographs and synthetic images (docs/results.md)."""


class MultiScaleDetector:
    """Detects hands as an `Estimator` does, at two input sizes, in the time of two.

    The trunk is trained on hands of some ten to three hundred pixels. A larger input brings far
    hands into that range and near ones out of it.

    Args:
        near: estimator with the smaller input.
        far: estimator with the larger input and the same hand model.

    Attributes:
        backend: that of the near scale.
        far: estimator with the larger input.
        template: the hand model.
        timings: of the last call, the sum of both scales.
    """

    def __init__(self, near: Estimator, far: Estimator) -> None:
        far.backend.sidecar.check_hand_model(near.template)
        self._estimators = (near, far)
        self.far = far
        self.backend, self.template = near.backend, near.template
        self.timings = Timings()

    @property
    def score_threshold(self) -> float:
        """Minimum score of a hand at the near scale; setting it sets both scales, and None resets
        each to the value of its model."""
        return self._estimators[0].score_threshold

    @score_threshold.setter
    def score_threshold(self, threshold: float | None) -> None:
        for each in self._estimators:
            each.score_threshold = threshold

    @property
    def model_id(self) -> str:
        """Names and versions of both models."""
        return " + ".join(each.model_id for each in self._estimators)

    def detect(
        self,
        image: np.ndarray,
        intrinsics: np.ndarray | tuple[float, ...] | list[float] | None = None,
    ) -> Hands:
        """Detect the hands in one image; arguments, result and errors are those of `Estimator`."""
        found = [each.detect(image, intrinsics) for each in self._estimators]
        size = [_extent(hands) / max(image.shape[:2]) for hands in found]
        hands = Hands.joined([found[0][size[0] >= NEAR], found[1][size[1] <= FAR]])
        hands = hands[np.argsort(-hands.score, kind="stable")]
        hands = hands[suppress_duplicates(hands.box, hands.keypoints_2d)]
        near, far = (each.timings for each in self._estimators)
        self.timings = near + far
        return hands

    __call__ = renamed_call("detect")

    def close(self) -> None:
        """Free both models; they cannot be used afterwards."""
        for each in self._estimators:
            each.close()


def open_multi_scale(
    model: str | Path | None,
    detail_model: str | Path | None,
    backend: str = "auto",
    *,
    score_threshold: float | None = None,
    threads: int | None = None,
    opener: Opener = open_backend,
) -> Estimator | MultiScaleDetector:
    """Load one model, or two for multi-scale detection.

    Args:
        model: as for `Estimator.from_file`.
        detail_model: the same with a larger input, for far hands; None or "" for none.
        backend: of both.
        score_threshold: of both; None takes those of their sidecars.
        threads: CPU threads inside one run; None lets the backend choose.
        opener: loads a graph.

    Raises:
        HandmeshError: a model or the backend cannot be used, or the second input is not larger.
    """

    def load(one: str | Path | None) -> Estimator:
        return Estimator.from_file(
            one, backend, score_threshold=score_threshold, threads=threads, opener=opener
        )

    near = load(model)
    if not detail_model:
        return near
    try:
        far = load(detail_model)
        if math.prod(far.backend.sidecar.input_size) <= math.prod(near.backend.sidecar.input_size):
            far.close()
            raise HandmeshError(
                f"The detail model {detail_model} sees no more pixels than the model "
                f"{model or CAMERA_MODEL.stem}: give one with a larger input, such as "
                f"{DETAIL_MODEL.stem} beside {CAMERA_MODEL.stem}, or none."
            )
        return MultiScaleDetector(near, far)
    except BaseException:
        near.close()
        raise


def _extent(hands: Hands) -> np.ndarray:
    """Return the longer sides (N,) of the boxes, pixels."""
    return (hands.box[:, 2:] - hands.box[:, :2]).max(1)

"""Two networks for one image: few pixels show near hands best, many pixels far ones."""

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
"""The near look is believed about hands from the first size on, the far look up to the second:
longer sides of their boxes, relative to the image's. Between them both count. Chosen on
photographs and synthetic images (docs/results.md)."""


class MultiScaleDetector:
    """Finds hands as an `Estimator` does, in the time of two.

    A trunk knows hands of some ten to three hundred pixels. More pixels bring far hands into that
    range and near ones out of it.

    Args:
        near: with the smaller input.
        far: with the larger input, of the same hand model.

    Attributes:
        backend: that of the near look.
        far: the look at more pixels.
        template: the hand model.
        timings: of the last call, both looks together.
    """

    def __init__(self, near: Estimator, far: Estimator) -> None:
        far.backend.sidecar.check_hand_model(near.template)
        self._looks = (near, far)
        self.far = far
        self.backend, self.template = near.backend, near.template
        self.timings = Timings()

    @property
    def score_threshold(self) -> float:
        """Score above which a find is a hand, the near look's; setting it sets both, to None each
        to its model's own."""
        return self._looks[0].score_threshold

    @score_threshold.setter
    def score_threshold(self, threshold: float | None) -> None:
        for look in self._looks:
            look.score_threshold = threshold

    @property
    def model_id(self) -> str:
        """Names and versions of both models."""
        return " + ".join(look.model_id for look in self._looks)

    def detect(
        self,
        image: np.ndarray,
        intrinsics: np.ndarray | tuple[float, ...] | list[float] | None = None,
    ) -> Hands:
        """Find the hands in one image; arguments, result and errors are those of `Estimator`."""
        found = [look.detect(image, intrinsics) for look in self._looks]
        size = [_extent(hands) / max(image.shape[:2]) for hands in found]
        hands = Hands.joined([found[0][size[0] >= NEAR], found[1][size[1] <= FAR]])
        hands = hands[np.argsort(-hands.score, kind="stable")]
        hands = hands[suppress_duplicates(hands.box, hands.keypoints_2d)]
        near, far = (look.timings for look in self._looks)
        self.timings = near + far
        return hands

    __call__ = renamed_call("detect")

    def close(self) -> None:
        """Free both models; they cannot be used afterwards."""
        for look in self._looks:
            look.close()


def open_multi_scale(
    model: str | Path | None,
    detail_model: str | Path | None,
    backend: str = "auto",
    *,
    score_threshold: float | None = None,
    threads: int | None = None,
    opener: Opener = open_backend,
) -> Estimator | MultiScaleDetector:
    """Load one model, or two that look at every image in turn.

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

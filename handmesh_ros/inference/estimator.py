"""`Estimator`: one image in, `Hands` out; no ROS, no torch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handmesh_ros.common.renamed import renamed_call
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands, ScaleSource
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.backends.base import Backend
from handmesh_ros.inference.backends.selection import Opener, open_backend
from handmesh_ros.inference.duplicates import suppress_duplicates
from handmesh_ros.inference.models import find_model
from handmesh_ros.inference.preprocess import (
    Letterbox,
    Preprocessor,
    check_image,
    check_intrinsics,
    intrinsics_from_fov,
)
from handmesh_ros.network.contract import IMAGE


@dataclass(frozen=True)
class Timings:
    """How long the parts of one call took, milliseconds."""

    preprocess_ms: float = 0.0
    inference_ms: float = 0.0
    decode_ms: float = 0.0

    @property
    def total_ms(self) -> float:
        """The whole call."""
        return self.preprocess_ms + self.inference_ms + self.decode_ms

    def __add__(self, other: Timings) -> Timings:
        """Return the times of both."""
        return Timings(
            self.preprocess_ms + other.preprocess_ms,
            self.inference_ms + other.inference_ms,
            self.decode_ms + other.decode_ms,
        )


class Estimator:
    """Detects hands in images.

    Calls reuse one input buffer, so an estimator belongs to one thread at a time.

    Args:
        backend: runs the graph.
        template: the hand model whose mesh the graph returns; None takes the bundled one.
        score_threshold: slots below it are dropped; None takes the one of the sidecar.

    Attributes:
        backend: runs the graph; `backend.sidecar` describes it.
        template: the hand model; its faces belong to `Hands.vertices`.
        timings: of the last call.

    Raises:
        HandmeshError: `score_threshold` is outside [0, 1], the graph takes crops, or it was
            trained with another hand model than `template`.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        template: HandTemplate | None = None,
        score_threshold: float | None = None,
    ) -> None:
        if backend.sidecar.takes != IMAGE:
            raise HandmeshError(
                f"The model {backend.sidecar.model_id} reads crops of hands and cannot find them: "
                "give it as the refinement model, beside one that takes whole images."
            )
        self.backend = backend
        self.template = HandTemplate.bundled() if template is None else template
        backend.sidecar.check_hand_model(self.template)
        self.timings = Timings()
        self._preprocessor = Preprocessor(backend.sidecar.input_size)
        self.score_threshold = score_threshold

    @classmethod
    def from_file(
        cls,
        model: str | Path | None = None,
        backend: str = "auto",
        *,
        template: HandTemplate | None = None,
        score_threshold: float | None = None,
        threads: int | None = None,
        opener: Opener = open_backend,
    ) -> Estimator:
        """Load a model and run it once, so that the first image is as fast as the others.

        Args:
            model: NAME.onnx with NAME.json beside it, a .ckpt, or the name of a bundled model;
                None or "" takes "mobile".
            backend: "auto" or one of `backend.BACKEND_NAMES`.
            template: the hand model that it was trained with; None takes the bundled one.
            score_threshold: in [0, 1]; None takes the one of the sidecar.
            threads: CPU threads inside one run; None lets the backend choose.
            opener: loads the graph; `SharedBackends.open` shares it with other estimators.

        Raises:
            HandmeshError: the model or the backend cannot be used; the message gives the reason.
        """
        path = find_model(model)
        opened = opener(path, backend, threads=threads)
        try:
            template = HandTemplate.bundled() if template is None else template
            opened.sidecar.check_hand_model(template, path)
            estimator = cls(opened, template=template, score_threshold=score_threshold)
            estimator.detect(np.zeros((*opened.sidecar.input_size, 3), np.uint8))
        except BaseException:
            opened.close()
            raise
        return estimator

    @property
    def score_threshold(self) -> float:
        """Minimum score of a hand; may be set between calls, None takes the model's."""
        return self._score_threshold

    @score_threshold.setter
    def score_threshold(self, threshold: float | None) -> None:
        if threshold is None:
            threshold = self.backend.sidecar.score_threshold
        if not 0.0 <= threshold <= 1.0:
            raise HandmeshError(
                f"A score threshold of {threshold} is not possible: give one between 0 and 1."
            )
        self._score_threshold = float(threshold)

    @property
    def model_id(self) -> str:
        """Name and version of the model."""
        return self.backend.sidecar.model_id

    def detect(
        self,
        image: np.ndarray,
        intrinsics: np.ndarray | tuple[float, ...] | list[float] | None = None,
    ) -> Hands:
        """Detect the hands in one image.

        Args:
            image: (H, W, 3) uint8 RGB.
            intrinsics: (4,) fx, fy, cx, cy in pixels of `image`; None assumes a field of view of
                60 degrees across the longer side, which makes distances a guess.

        Returns:
            The hands, best score first. Their metric size is the model's guess
            (`ScaleSource.ASSUMED`).

        Raises:
            HandmeshError: the image or the intrinsics cannot be used.
        """
        start = time.perf_counter()
        check_image(image)
        if intrinsics is None:
            camera = intrinsics_from_fov(*image.shape[:2])
        else:
            camera = check_intrinsics(intrinsics)
        network_image, network_intrinsics, letterbox = self._preprocessor.letterbox(image, camera)
        preprocessed = time.perf_counter()
        outputs = self.backend.infer(network_image, network_intrinsics)
        inferred = time.perf_counter()
        hands = decode(outputs, letterbox, self.score_threshold)
        decoded = time.perf_counter()
        self.timings = Timings(
            preprocess_ms=1e3 * (preprocessed - start),
            inference_ms=1e3 * (inferred - preprocessed),
            decode_ms=1e3 * (decoded - inferred),
        )
        return hands

    __call__ = renamed_call("detect")

    def close(self) -> None:
        """Free the model; the estimator cannot be used afterwards."""
        self.backend.close()


def decode(outputs: dict[str, np.ndarray], letterbox: Letterbox, score_threshold: float) -> Hands:
    """Turn the graph's slots into `Hands` in source pixels.

    Args:
        outputs: the graph's outputs by name (`backend.output_shapes`), network pixels.
        letterbox: the map between source image and network input.
        score_threshold: slots below it are dropped, as are slots with numbers that are not
            finite and the worse detection of a hand that was detected twice.
    """
    score = outputs["score"]
    slots = np.flatnonzero(score >= score_threshold)
    finite = [
        np.isfinite(values[slots]).all(axis=tuple(range(1, values.ndim)))
        for values in outputs.values()
    ]
    slots = slots[np.logical_and.reduce(finite)]
    slots = slots[np.argsort(-score[slots], kind="stable")]
    slots = slots[suppress_duplicates(outputs["box"][slots], outputs["joints_2d"][slots])]
    return Hands(
        score=score[slots],
        right_probability=outputs["handedness"][slots],
        box=letterbox.boxes_to_source(outputs["box"][slots]).astype(np.float32),
        keypoints_2d=letterbox.points_to_source(outputs["joints_2d"][slots]).astype(np.float32),
        joints=outputs["joints"][slots],
        vertices=outputs["vertices"][slots],
        rotations=outputs["rotations"][slots],
        shape=outputs["shape"][slots],
        translation=outputs["translation"][slots],
        colors=outputs["colors"][slots],
        scale_source=np.full(len(slots), ScaleSource.ASSUMED, np.uint8),
    )

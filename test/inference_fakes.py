"""A finder and a refinement backend whose answers follow from the pixels: tests without graphs.

The world: hands are upright patterns of keypoints around a wrist; a hand's place is lit, so that a
crop that shows light shows a hand, and the brighter, the surer.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.estimator import Timings
from handmesh_ros.inference.sidecar import HandModelReference, Sidecar
from handmesh_ros.network.contract import CROPS

TEMPLATE = HandTemplate.bundled()
REFERENCE = HandModelReference.of(TEMPLATE)
CAMERA = np.array([600.0, 600.0, 320.0, 240.0])

PATTERN = np.array(
    [[0, 0.5]]
    + [[x, 0.3 - 0.2 * joint] for x in (-0.3, -0.15, 0, 0.15, 0.3) for joint in range(4)]
)
"""(21, 2) keypoints of a hand of size 1, fingers up."""

IN_CROP = 224.0 * (PATTERN - [0, 0.14]) / 1.2 + 112.0
"""The same in the crop that `hand_regions` gives, pixels."""

ORIGIN = 224.0 * np.array([0, -0.14]) / 1.2 + 112.0


def hand_at(x: float, y: float, size: float = 100.0) -> np.ndarray:
    """Return (21, 2) keypoints, pixels."""
    return (PATTERN * size + [x, y]).astype(np.float32)


def picture(*lights: tuple[float, float, float], size: tuple[int, int] = (480, 640)) -> np.ndarray:
    """Return an image, black but for squares of 40 pixels (x, y, brightness in 0 … 255)."""
    image = np.zeros((*size, 3), np.uint8)
    for x, y, light in lights:
        image[max(int(y) - 20, 0) : int(y) + 20, max(int(x) - 20, 0) : int(x) + 20] = int(light)
    return image


def hands_of(keypoints: np.ndarray, score: np.ndarray) -> Hands:
    """Return hands with these keypoints and scores, all else plain."""
    keypoints, score = np.asarray(keypoints, np.float32), np.asarray(score, np.float32)
    count, vertices = len(score), REFERENCE.vertices
    return Hands(
        score=score,
        right_probability=np.full(count, 0.9, np.float32),
        box=np.concatenate([keypoints.min(1), keypoints.max(1)], 1) if count else np.zeros((0, 4)),
        keypoints_2d=keypoints.reshape(count, 21, 2),
        joints=np.tile(np.float32([0, 0, 0.5]), (count, 21, 1)),
        vertices=np.tile(np.float32([0, 0, 0.5]), (count, vertices, 1)),
        rotations=np.tile(np.eye(3, dtype=np.float32), (count, 16, 1, 1)),
        shape=np.zeros((count, 10), np.float32),
        translation=np.tile(np.float32([0, 0, 0.5]), (count, 1)),
        colors=np.zeros((count, vertices, 3), np.float32),
        scale_source=np.zeros(count, np.uint8),
    )


class FakeFinder:
    """Proposes the given hands, whatever the image shows.

    Args:
        keypoints: (N, 21, 2) pixels.
        score: (N,).
    """

    def __init__(self, keypoints: list[np.ndarray], score: list[float]) -> None:
        self.backend = SimpleNamespace(sidecar=sidecar(), name="none", close=lambda: None)
        self.template, self.timings, self.model_id = TEMPLATE, Timings(1, 2, 3), "finder"
        self.hands = hands_of(np.array(keypoints).reshape(-1, 21, 2), np.array(score))
        self.calls = 0
        self.is_open = True
        self.score_threshold = None

    @property
    def score_threshold(self) -> float:
        return self._threshold

    @score_threshold.setter
    def score_threshold(self, threshold: float | None) -> None:
        self._threshold = 0.4 if threshold is None else threshold

    def detect(self, image: np.ndarray, intrinsics: np.ndarray | None = None) -> Hands:
        self.calls += 1
        return self.hands[np.flatnonzero(self.hands.score >= self.score_threshold)]

    def close(self) -> None:
        self.is_open = False


class FakeReader:
    """A refinement backend: sees the pattern around the light in a crop, as sure as it is bright.

    Args:
        spoil: called with the outputs before they are given back.
    """

    def __init__(self, spoil=None, **fields) -> None:
        self.sidecar, self.name = sidecar(takes=CROPS, **fields), "none"
        self.spoil, self.batches = spoil, []
        self.is_open = True

    def infer(self, crops, to_image, intrinsics) -> dict[str, np.ndarray]:
        assert crops.dtype == np.uint8 and crops.shape[1:] == (224, 224, 3)
        assert to_image.dtype == intrinsics.dtype == np.float32
        assert len(crops) == len(to_image) == len(intrinsics) <= self.sidecar.max_hands
        self.batches.append(len(crops))
        light = crops.astype(float).max((1, 2, 3)) / 255
        points = np.stack([IN_CROP + middle_of(crop) - ORIGIN for crop in crops])
        points = points @ to_image[:, :, :2].transpose(0, 2, 1) + to_image[:, None, :, 2]
        hands = hands_of(points.astype(np.float32), np.clip(light, 0.001, 0.999))
        names = {"keypoints_2d": "joints_2d", "right_probability": "handedness"}
        outputs = {
            names.get(name, name): values
            for name, values in vars(hands).items()
            if name not in ("scale_source", "refined")
        }
        trust = np.repeat(0.1 + 0.7 * light[:, None], 21, axis=1)
        outputs["keypoint_scores"] = trust.astype(np.float32)
        outputs["centre"] = points.mean(1).astype(np.float32)
        if self.spoil is not None:
            self.spoil(outputs)
        return outputs

    def close(self) -> None:
        self.is_open = False


def middle_of(crop: np.ndarray) -> np.ndarray:
    """Return (2,) where the light is in a crop, pixels."""
    y, x = np.nonzero(crop[..., 0] > crop[..., 0].max() / 2)
    return np.array([x.mean(), y.mean()]) if len(x) else ORIGIN


def sidecar(**fields) -> Sidecar:
    """Return a sidecar, of a finder if nothing else is said."""
    values = {
        "model_id": "made-up",
        "input_size": (224, 224),
        "max_hands": 16,
        "hand_model": REFERENCE,
        "score_threshold": 0.5,
        "precision": "float32",
        "onnx_sha256": "0" * 64,
        **fields,
    }
    return Sidecar(**values)

"""`HandRefiner`: reads hands off crops of the image, all crops of an image in one batch."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands, ScaleSource
from handmesh_ros.inference.backends.base import Backend
from handmesh_ros.inference.crops import CROP_SIDE, cut_crops
from handmesh_ros.inference.estimator import Timings
from handmesh_ros.inference.sidecar import Sidecar
from handmesh_ros.network.contract import CROPS, TAKEN


class HandRefiner:
    """Runs the refinement network on crops.

    Args:
        backend: runs the graph.

    Attributes:
        backend: runs the graph; `backend.sidecar` describes it.
        timings: of the last call; cutting the crops is `preprocess_ms`.

    Raises:
        HandmeshError: the graph does not take crops, or crops of another size.
    """

    def __init__(self, backend: Backend) -> None:
        sidecar = backend.sidecar
        if sidecar.takes != CROPS or sidecar.input_size != (CROP_SIDE, CROP_SIDE):
            height, width = sidecar.input_size
            raise HandmeshError(
                f"The model {sidecar.model_id} takes {TAKEN[sidecar.takes]} of {width}×{height} "
                f"pixels, but hands are refined on crops of {CROP_SIDE}×{CROP_SIDE}: give a "
                "refinement model."
            )
        self.backend = backend
        self.timings = Timings()

    def read(self, image: np.ndarray, to_image: np.ndarray, intrinsics: np.ndarray) -> Hands:
        """Read one hand off each crop.

        Args:
            image: (H, W, 3) uint8 RGB.
            to_image: (N, 2, 3) float32 from crop pixels to image pixels, as `hand_regions` gives.
            intrinsics: (4,) fx, fy, cx, cy, pixels of `image`.

        Returns:
            N hands in the order of the crops; `score` is the probability that a crop shows a hand.
            Where the network's numbers are not finite it is 0 and `refined` is False.
        """
        self.timings = Timings()
        sidecar = self.backend.sidecar
        if not len(to_image):
            return Hands.empty(sidecar.hand_model.vertices)
        parts = [
            self._read_batch(image, to_image[start : start + sidecar.max_hands], intrinsics)
            for start in range(0, len(to_image), sidecar.max_hands)
        ]
        return parts[0] if len(parts) == 1 else Hands.joined(parts)

    def close(self) -> None:
        """Free the model; the refiner cannot be used afterwards."""
        self.backend.close()

    def _read_batch(self, image: np.ndarray, to_image: np.ndarray, camera: np.ndarray) -> Hands:
        start = time.perf_counter()
        crops = cut_crops(image, to_image)
        cut = time.perf_counter()
        cameras = np.repeat(np.asarray(camera, np.float32)[None], len(crops), axis=0)
        outputs = self.backend.infer(crops, to_image, cameras)
        read = time.perf_counter()
        hands = decode_crops(outputs)
        decoded = time.perf_counter()
        times_ms = (1e3 * (end - begin) for begin, end in pairwise((start, cut, read, decoded)))
        self.timings = self.timings + Timings(*times_ms)
        return hands


def decode_crops(outputs: dict[str, np.ndarray]) -> Hands:
    """Turn the refinement graph's outputs into `Hands`, one a crop, in image pixels.

    Args:
        outputs: by name (`backend.output_shapes`); copied where the backend may overwrite them.
            Hands with numbers that are not finite become zeros and are not `refined`.
    """
    finite = np.logical_and.reduce(
        [np.isfinite(values).all(axis=tuple(range(1, values.ndim))) for values in outputs.values()]
    )

    def sound(name: str) -> np.ndarray:
        values = np.array(outputs[name], np.float32)
        if not finite.all():
            values[~finite] = 0.0
        return values

    score = sound("score")
    return Hands(
        score=score,
        right_probability=sound("handedness"),
        box=sound("box"),
        keypoints_2d=sound("joints_2d"),
        joints=sound("joints"),
        vertices=sound("vertices"),
        rotations=sound("rotations"),
        shape=sound("shape"),
        translation=sound("translation"),
        colors=sound("colors"),
        scale_source=np.full(len(score), ScaleSource.ASSUMED, np.uint8),
        keypoint_scores=sound("keypoint_scores"),
        refined=finite,
    )


def check_pair(first: Sidecar, second: Sidecar) -> None:
    """Check that a refinement model makes the hands that the first model makes.

    Args:
        first: of the model that finds hands.
        second: of the refinement model.

    Raises:
        HandmeshError: their hand models differ.
    """
    one, other = first.hand_model, second.hand_model
    if (one.name, one.vertices, one.sha256) != (other.name, other.vertices, other.sha256):
        raise HandmeshError(
            f"The refinement model {second.model_id} makes the hand {other.name!r} "
            f"({other.sha256[:12]}…), the model {first.model_id} the hand {one.name!r} "
            f"({one.sha256[:12]}…): use two models that were trained with the same hand model."
        )

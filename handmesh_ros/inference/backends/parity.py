"""Whether two backends give the same hands: what an engine or an export is accepted by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.base import Backend
from handmesh_ros.inference.crops import cut_crops, square_regions
from handmesh_ros.inference.sidecar import Sidecar
from handmesh_ros.network.contract import IMAGE

_CLIP = Path(__file__).resolve().parents[2] / "assets" / "demo.mp4"
_FRAMES_BETWEEN = 8
_FRAME_SIZE = (480, 640)
SAME_CENTRE_PX = 0.5


@dataclass(frozen=True)
class Drift:
    """The largest differences between hands that two backends found at the same place.

    Attributes:
        found_again: share of the reference's hands that the other found, in [0, 1].
        mesh_m: of a joint or vertex relative to the wrist, metres.
        keypoints_px: of a keypoint in the image, network pixels.
        distance: of the wrist, as a fraction of its distance from the camera.
    """

    found_again: float
    mesh_m: float
    keypoints_px: float
    distance: float

    def within(self, limit: Drift) -> bool:
        """Return whether this is at least as good as `limit` in everything."""
        return (
            self.found_again >= limit.found_again
            and self.mesh_m <= limit.mesh_m
            and self.keypoints_px <= limit.keypoints_px
            and self.distance <= limit.distance
        )

    def __str__(self) -> str:
        return (
            f"{self.found_again:.0%} of the hands found again, mesh within "
            f"{1e3 * self.mesh_m:.3f} mm, keypoints within {self.keypoints_px:.3f} px, distance "
            f"within {self.distance:.3%}"
        )


FLOAT32_LIMIT = Drift(found_again=0.9, mesh_m=1e-4, keypoints_px=0.05, distance=1e-3)
"""Between two float32 runtimes."""

REDUCED_LIMIT = Drift(found_again=0.9, mesh_m=1e-3, keypoints_px=1.0, distance=1e-2)
"""Where convolutions run in float16 or TF32."""


def fixed_images(
    input_size: tuple[int, int], count: int = 6
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield frames of the demo clip, which shows hands, as the graph's inputs.

    Yields:
        image [1, H, W, 3] uint8 RGB, stretched, and intrinsics [1, 4] float32.

    Raises:
        HandmeshError: OpenCV cannot read the clip.
    """
    height, width = input_size
    focal = max(height, width)
    intrinsics = np.array([[focal, focal, width / 2, height / 2]], np.float32)
    clip = cv2.VideoCapture(str(_CLIP))
    for _ in range(count):
        read, frame = clip.read()
        if not read:
            raise HandmeshError(
                f"OpenCV cannot read {_CLIP}: install an opencv-python that reads videos."
            )
        image = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        yield np.ascontiguousarray(image[None, :, :, ::-1]), intrinsics
        for _ in range(_FRAMES_BETWEEN):
            clip.grab()
    clip.release()


def fixed_inputs(sidecar: Sidecar, count: int = 6) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the inputs that the graph of `sidecar` takes, from frames of the demo clip.

    Crops are overlapping squares all over each frame, of two sizes.

    Yields:
        as `backend.input_shapes` says.
    """
    if sidecar.takes == IMAGE:
        yield from fixed_images(sidecar.input_size, count)
        return
    for image, intrinsics in fixed_images(_FRAME_SIZE, count):
        regions = _overlapping_squares(_FRAME_SIZE)
        cameras = np.repeat(intrinsics, len(regions), axis=0)
        for start in range(0, len(regions), sidecar.max_hands):
            some = slice(start, start + sidecar.max_hands)
            yield cut_crops(image[0], regions[some]), regions[some], cameras[some]


def _overlapping_squares(size: tuple[int, int]) -> np.ndarray:
    height, width = size
    squares = [
        (x, y, side)
        for side in (height / 2, height / 3)
        for y in np.arange(side / 2, height, side / 2)
        for x in np.arange(side / 2, width, side / 2)
    ]
    x, y, sides = np.array(squares).T
    return square_regions(np.stack([x, y], 1), sides, np.zeros(len(sides)))


def compare(backend: Backend, reference: Backend, images: int = 6) -> Drift:
    """Run two backends on `fixed_inputs` and return how far `backend` is from `reference`.

    Only hands above the model's score threshold count, as in `drift`.
    """
    pairs = []
    for inputs in fixed_inputs(reference.sidecar, images):
        expected = {name: values.copy() for name, values in reference.infer(*inputs).items()}
        found = {name: values.copy() for name, values in backend.infer(*inputs).items()}
        pairs.append((found, expected))
    return drift(pairs, reference.sidecar.score_threshold)


def drift(
    pairs: list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]],
    score_threshold: float = 0.0,
) -> Drift:
    """Compare outputs of the graph.

    Slots belong together where they have the same centre and side: near-ties may swap their order.

    Args:
        pairs: (found, expected), each as `backend.output_shapes` says.
        score_threshold: expected slots below it do not count, but the best one of each image
            always does. What the network makes of a place without a hand is not smooth: there
            float16 has been seen to turn a mesh by 30 mm.
    """
    expected_count = matched = 0
    mesh = keypoints = distance = 0.0
    for found, expected in pairs:
        best = expected["score"].max()
        for slot in np.flatnonzero(expected["score"] >= min(score_threshold, best)):
            expected_count += 1
            centre = expected["centre"][slot]
            same = np.abs(found["centre"] - centre).max(axis=1) < SAME_CENTRE_PX
            same &= (found["handedness"] >= 0.5) == (expected["handedness"][slot] >= 0.5)
            others = np.flatnonzero(same)
            if not len(others):
                continue
            other = others[0]
            matched += 1
            for name in ("joints", "vertices"):
                gap = found[name][other] - found["translation"][other]
                gap = gap - (expected[name][slot] - expected["translation"][slot])
                mesh = max(mesh, _largest(np.linalg.norm(gap, axis=-1)))
            gap = found["joints_2d"][other] - expected["joints_2d"][slot]
            keypoints = max(keypoints, _largest(np.linalg.norm(gap, axis=-1)))
            wrist = expected["translation"][slot]
            gap = found["translation"][other] - wrist
            share = np.linalg.norm(gap) / max(float(np.linalg.norm(wrist)), 1e-6)
            distance = max(distance, _largest(np.array(share)))
    return Drift(matched / max(expected_count, 1), mesh, keypoints, distance)


def _largest(values: np.ndarray) -> float:
    """The largest value; infinite if one is not a number, so that no limit lets it pass."""
    return float(np.max(values)) if np.isfinite(values).all() else float("inf")

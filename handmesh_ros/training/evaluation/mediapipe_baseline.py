"""MediaPipe Hands in an interpreter of its own, to be measured on the same images."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands
from handmesh_ros.training.data.sample import VERTEX_COUNT, box_of_keypoints

_WORKER = Path(__file__).with_name("mediapipe_worker.py")


class MediaPipeBaseline:
    """Finds hands as `Estimator` does, but 2D only: all 3D fields are zeros.

    Boxes are made of keypoints as those of photographs are. Its score is that of the side, the
    only one that MediaPipe gives; every hand that it reports counts.

    Args:
        python: an interpreter that has mediapipe 0.10.21.
        max_hands: most hands in one image.
        video: whether the images follow each other, so that hands are followed, too.
        worker: the script that it runs.

    Raises:
        HandmeshError: that interpreter does not start, later that it stopped.
    """

    score_threshold = 0.0

    def __init__(
        self, python: str, max_hands: int = 10, *, video: bool = False, worker: Path = _WORKER
    ):
        self._python = python
        try:
            self._process = subprocess.Popen(
                [python, "-I", str(worker)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise HandmeshError(
                f"Cannot run {python} ({error.strerror}): give an interpreter that has "
                "mediapipe==0.10.21."
            ) from error
        self._send(f"{max_hands} {'video' if video else 'images'}\n".encode())

    def detect(self, image: np.ndarray, intrinsics: Any = None) -> Hands:
        """Find hands.

        Args:
            image: (H, W, 3) uint8 RGB.
            intrinsics: not used.

        Returns:
            hands, best score first.
        """
        header = f"{image.shape[0]} {image.shape[1]}\n".encode()
        self._send(header + np.ascontiguousarray(image).tobytes())
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            self._fail()
        found = sorted(json.loads(answer), key=lambda hand: -hand["score"])
        count = len(found)
        keypoints = np.array([hand["keypoints"] for hand in found], np.float32)
        keypoints = keypoints.reshape(count, 21, 2)
        return Hands(
            score=np.array([hand["score"] for hand in found], np.float32),
            right_probability=np.array([hand["is_right"] for hand in found], np.float32),
            box=box_of_keypoints(keypoints) if count else np.zeros((0, 4), np.float32),
            keypoints_2d=keypoints,
            joints=np.zeros((count, 21, 3), np.float32),
            vertices=np.zeros((count, VERTEX_COUNT, 3), np.float32),
            rotations=np.zeros((count, 16, 3, 3), np.float32),
            shape=np.zeros((count, 10), np.float32),
            translation=np.zeros((count, 3), np.float32),
            colors=np.zeros((count, VERTEX_COUNT, 3), np.float32),
            scale_source=np.zeros(count, np.uint8),
        )

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError:
            self._fail()

    def _fail(self) -> None:
        _, errors = self._process.communicate()
        lines = errors.decode(errors="replace").strip().splitlines()
        raise HandmeshError(
            f"MediaPipe stopped in {self._python} ({lines[-1] if lines else 'no message'}): give "
            "an interpreter that has mediapipe==0.10.21."
        )

"""The process of one model on one backend: `python -m handmesh_ros.bench.worker`, for `bench`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, TextIO

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.effort import Effort
from handmesh_ros.inference.opening import HandFinder, Models, open_finder
from handmesh_ros.inference.preprocess import intrinsics_from_fov
from handmesh_ros.tracking.tracker import TrackedHands
from handmesh_ros.tracking.video import VideoTracker

ALONE, BOTH = "alone", "both"
"""Stand for no effort: the single-stage network alone, at one input size or at both."""

UNREFINED = {ALONE: Effort.FAST, BOTH: Effort.BALANCED}
"""The efforts that these stand for, without refinement."""

FRAME_RATE_HZ = 30.0


class Worker:
    """Runs an estimator on the scenes it is given.

    Args:
        estimator: already warm.
    """

    def __init__(self, estimator: HandFinder) -> None:
        self._estimator = estimator
        self._video: VideoTracker | None = None
        self._frame = 0
        self._usual_threshold = estimator.score_threshold
        self._image = np.zeros((1, 1, 3), np.uint8)
        self._intrinsics = np.ones(4)
        self._to_bytes = _message_writer()

    def show(self, path: str, hands: int | None) -> dict[str, Any]:
        """Take an image.

        Args:
            path: of the image as .npy, (H, W, 3) uint8 RGB; of a video, (T, H, W, 3).
            hands: how many to decode, by the score threshold that lets so many pass; None for
                the model's own threshold.

        Returns:
            `hands`, how many are decoded.
        """
        self._image = np.load(path)
        self._intrinsics = intrinsics_from_fov(*self._image.shape[-3:-1])
        self._estimator.score_threshold = self._usual_threshold
        if self._image.ndim == 4:
            self._video = VideoTracker(self._estimator)
            return {"hands": len(self._next())}
        self._video = None
        if hands is not None:
            self._estimator.score_threshold = 0.0
            scores = self._estimator.detect(self._image).score
            self._estimator.score_threshold = float(scores[:hands].min(initial=1.0))
        return {"hands": len(self._estimator.detect(self._image))}

    def run(self) -> dict[str, float]:
        """Find the hands once, of a video's next image, and return the milliseconds of the stages.

        `message_ms` is there where ROS 2 and our messages are: the hands as the bytes of a
        `HandMeshArray`. `cpu_ms` is the processor time of all threads of the process: on a busy
        machine it says more than the clock.
        """
        cpu, start = time.process_time(), time.perf_counter()
        if self._video is None:
            tracked = TrackedHands.untracked(self._estimator.detect(self._image, self._intrinsics))
            timings = self._estimator.timings
        else:
            tracked, timings = self._next(), self._video.detection.timings
        found = time.perf_counter()
        stages = asdict(timings)
        if self._to_bytes is not None:
            self._to_bytes(tracked, self._image.shape[-3:-1], self._intrinsics)
            stages["message_ms"] = 1e3 * (time.perf_counter() - found)
        total = 1e3 * (time.perf_counter() - start)
        return {**stages, "total_ms": total, "cpu_ms": 1e3 * (time.process_time() - cpu)}

    def _next(self) -> TrackedHands:
        assert self._video is not None
        self._frame += 1
        image = self._image[self._frame % len(self._image)]
        return self._video.update(image, self._intrinsics, self._frame / FRAME_RATE_HZ)


def _message_writer() -> Callable[[TrackedHands, tuple[int, int], np.ndarray], bytes] | None:
    try:
        from handmesh_ros.ros.conversions.serialisation import hands_to_bytes
    except ImportError:
        return None
    return hands_to_bytes


def serve(worker: Worker, requests: Iterable[str], answers: TextIO) -> None:
    """Answer `{"show": path, "hands": n}` and `{"run": true}` until the requests end."""
    for line in requests:
        request = json.loads(line)
        if "show" in request:
            answer: dict[str, Any] = worker.show(request["show"], request["hands"])
        else:
            answer = worker.run()
        print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    """Open the model and serve standard input."""
    model, backend, threads, effort = sys.argv[1:]
    # Whatever libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        estimator = open_finder(
            Models(model),
            backend,
            effort=UNREFINED.get(effort, effort),
            refine=effort not in UNREFINED,
            threads=int(threads) or None,
        )
    except HandmeshError as error:
        print(json.dumps({"error": str(error)}), file=answers, flush=True)
        return
    introduction = {"model_id": estimator.model_id, "backend": estimator.backend.name}
    print(json.dumps(introduction), file=answers, flush=True)
    serve(Worker(estimator), sys.stdin, answers)


if __name__ == "__main__":
    main()

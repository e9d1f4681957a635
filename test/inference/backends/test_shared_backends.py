"""One loaded model for several estimators."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.backends.selection import open_backend
from handmesh_ros.inference.backends.shared import SharedBackends
from handmesh_ros.inference.estimator import Estimator


class Counting:
    """An opener that counts, whose backends note whether two runs overlap."""

    def __init__(self) -> None:
        self.opened = self.closed = self.overlaps = 0
        self._running = 0

    def __call__(self, path, backend="auto", *, threads=None):
        self.opened += 1
        self._backend = open_backend(path, backend, threads=threads)
        self.name, self.sidecar = self._backend.name, self._backend.sidecar
        self._outputs: dict[str, np.ndarray] = {}
        outer = self

        class Slow:
            name, sidecar = outer.name, outer.sidecar

            def infer(self, image, intrinsics):
                outer._running += 1
                outer.overlaps += outer._running > 1
                time.sleep(0.01)
                for key, values in outer._backend.infer(image, intrinsics).items():
                    outer._outputs.setdefault(key, np.empty_like(values))[:] = values
                outer._running -= 1
                return outer._outputs  # overwritten by the next run, as TensorRT's are

            def close(self):
                outer.closed += 1

        return Slow()


def test_a_model_is_loaded_once_and_freed_by_the_last(tiny_model):
    opener = Counting()
    shared = SharedBackends(opener)
    first = Estimator.from_file(tiny_model, threads=1, opener=shared.open)
    second = Estimator.from_file(tiny_model, threads=1, opener=shared.open)
    assert opener.opened == 1
    assert first.backend.name == second.backend.name
    first.close()
    first.close()
    assert opener.closed == 0
    assert len(second.detect(np.full((48, 64, 3), 90, np.uint8))) == 2
    second.close()
    assert opener.closed == 1
    Estimator.from_file(tiny_model, threads=1, opener=shared.open).close()
    assert (opener.opened, opener.closed) == (2, 2)


def test_an_estimator_that_cannot_be_made_gives_its_model_back(tiny_model):
    opener = Counting()
    other_hand = replace(HandTemplate.bundled(), sha256="0" * 64)
    with pytest.raises(HandmeshError, match="another version of the hand"):
        Estimator.from_file(tiny_model, template=other_hand, opener=SharedBackends(opener).open)
    assert (opener.opened, opener.closed) == (1, 1)


def test_other_settings_are_another_model(tiny_model):
    opener = Counting()
    shared = SharedBackends(opener)
    for threads in (1, 2):
        shared.open(tiny_model, threads=threads)
    assert opener.opened == 2


def test_two_threads_take_turns_and_keep_their_own_results(tiny_model):
    opener = Counting()
    shared = SharedBackends(opener)
    wrong: list[str] = []

    def work(focal: float) -> None:
        estimator = Estimator.from_file(tiny_model, threads=1, opener=shared.open)
        image = np.full((96, 128, 3), 90, np.uint8)
        for _ in range(10):
            hands = estimator.detect(image, (focal, focal, 63.5, 47.5))
            wrist, pixel = hands.joints[0, 0], hands.keypoints_2d[0, 0]
            if abs(wrist[0] / wrist[2] * focal + 63.5 - pixel[0]) > 0.01:
                wrong.append(f"{focal}: {pixel}")

    threads = [threading.Thread(target=work, args=[focal]) for focal in (60.0, 120.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert opener.opened == 1 and opener.overlaps == 0


def test_a_model_that_cannot_be_opened_is_no_model(tmp_path, tiny_model):
    shared = SharedBackends()
    with pytest.raises(HandmeshError, match="There is no model"):
        shared.open(tmp_path / "nothing.onnx")
    shared.open(tiny_model).close()

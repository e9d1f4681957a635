from types import SimpleNamespace

import numpy as np
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.estimator import Estimator, Timings
from handmesh_ros.inference.multi_scale import MultiScaleDetector, open_multi_scale

IMAGE = np.zeros((100, 200, 3), np.uint8)


def hands_at(*finds):
    """Hands with these scores and boxes (x, y, side), keypoints along the diagonal."""
    count = len(finds)
    fields = vars(Hands.empty())
    made = {name: np.zeros((count, *v.shape[1:]), v.dtype) for name, v in fields.items()}
    for index, (score, x, y, side) in enumerate(finds):
        made["score"][index] = score
        made["box"][index] = x, y, x + side, y + side
        made["keypoints_2d"][index] = (x, y) + side * np.linspace(0, 1, 21)[:, None]
    return Hands(**made)


class Look:
    """An estimator that finds what it is told to."""

    def __init__(self, name, *finds):
        self.model_id, self.score_threshold, self.is_open = name, 0.3, True
        sidecar = SimpleNamespace(check_hand_model=lambda template: None)
        self.backend, self.template = SimpleNamespace(sidecar=sidecar), object()
        self.timings, self.finds = Timings(1.0, 20.0, 0.5), hands_at(*finds)

    def detect(self, image, intrinsics=None):
        return self.finds

    def close(self):
        self.is_open = False


def test_each_look_is_believed_about_its_own_sizes():
    near = Look("near", (0.9, 0, 0, 90), (0.8, 100, 0, 30))  # 0.45 and 0.15 of the image
    far = Look("far", (0.7, 120, 20, 81), (0.6, 150, 0, 20))  # 0.405 and 0.1
    both = MultiScaleDetector(near, far)
    hands = both.detect(IMAGE)
    np.testing.assert_allclose(hands.score, [0.9, 0.6])
    assert both.model_id == "near + far"
    assert both.timings == Timings(2.0, 40.0, 1.0)


def test_a_hand_that_both_find_is_one_and_the_surer_find_of_it():
    near, far = Look("near", (0.5, 10, 10, 60)), Look("far", (0.8, 11, 11, 60), (0.4, 120, 5, 50))
    np.testing.assert_allclose(MultiScaleDetector(near, far).detect(IMAGE).score, [0.8, 0.4])
    np.testing.assert_allclose(MultiScaleDetector(far, near).detect(IMAGE).score, [0.8, 0.4])


def test_the_threshold_is_set_for_both_and_both_are_closed():
    near, far = Look("near"), Look("far")
    both = MultiScaleDetector(near, far)
    both.score_threshold = 0.6
    assert both.score_threshold == near.score_threshold == far.score_threshold == 0.6
    assert len(both.detect(IMAGE)) == 0
    both.close()
    assert not near.is_open and not far.is_open


def test_one_model_is_an_estimator_and_two_are_two_looks(tiny_model):
    assert isinstance(open_multi_scale(tiny_model, ""), Estimator)
    both = open_multi_scale("mobile", "mobile_512", "onnxruntime", score_threshold=0.25)
    assert isinstance(both, MultiScaleDetector) and both.score_threshold == 0.25
    both.close()


@pytest.mark.parametrize("models", [("mobile", "mobile"), ("mobile_512", "mobile")])
def test_a_second_look_at_no_more_pixels_is_refused(models):
    with pytest.raises(HandmeshError, match="sees no more pixels than the model"):
        open_multi_scale(*models, "onnxruntime")


def test_a_missing_second_model_frees_the_first(tiny_model, tmp_path):
    from handmesh_ros.inference.backends.selection import open_backend

    opened = []

    def opener(path, backend="auto", *, threads=None):
        backend = open_backend(path, backend, threads=threads)
        closes = backend.close
        backend.close = lambda: (opened.remove(backend), closes())
        opened.append(backend)
        return backend

    with pytest.raises(HandmeshError, match="There is no model at"):
        open_multi_scale(tiny_model, tmp_path / "none.onnx", opener=opener)
    assert not opened

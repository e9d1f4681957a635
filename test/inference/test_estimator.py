from __future__ import annotations

import numpy as np
import pytest
import tiny_graph

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import ScaleSource
from handmesh_ros.inference.estimator import Estimator
from handmesh_ros.inference.preprocess import intrinsics_from_fov

INTRINSICS = (520.0, 530.0, 330.0, 220.0)


@pytest.fixture(scope="module")
def estimator(tiny_model):
    return Estimator.from_file(tiny_model)


def image(height=480, width=640, value=128):
    return np.full((height, width, 3), value, np.uint8)


def project(points, intrinsics):
    fx, fy, cx, cy = intrinsics
    return np.stack(
        [points[..., 0] / points[..., 2] * fx + cx, points[..., 1] / points[..., 2] * fy + cy], -1
    )


@pytest.mark.parametrize("size", [(480, 640), (1080, 1920), (61, 47), (96, 128), (2000, 300)])
def test_keypoints_are_the_joints_projected_with_the_source_intrinsics(estimator, size):
    hands = estimator.detect(image(*size), INTRINSICS)
    expected = project(hands.joints, INTRINSICS)
    np.testing.assert_allclose(hands.keypoints_2d, expected, atol=0.02)
    np.testing.assert_allclose(hands.box[:, :2], expected.min(axis=1), atol=0.02)
    np.testing.assert_allclose(hands.box[:, 2:], expected.max(axis=1), atol=0.02)


def test_hand_found_on_both_sides_is_kept_once(estimator):
    hands = estimator.detect(image(), INTRINSICS)
    np.testing.assert_allclose(hands.score, [0.9, 0.8])
    assert hands.handedness.tolist() == [1, 0]
    np.testing.assert_allclose(hands.handedness_score, [0.95, 0.9])
    assert (hands.scale_source == ScaleSource.ASSUMED).all()
    np.testing.assert_allclose(hands.translation, tiny_graph.WRISTS[:2])


def test_missing_intrinsics_assume_a_field_of_view(estimator):
    hands = estimator.detect(image(), None)
    expected = project(hands.joints, intrinsics_from_fov(480, 640, 60.0))
    np.testing.assert_allclose(hands.keypoints_2d, expected, atol=0.02)


def test_no_hands_have_the_right_shapes(estimator):
    hands = estimator.detect(image(value=0))
    assert len(hands) == 0
    assert hands.vertices.shape == (0, tiny_graph.VERTICES, 3)


def test_threshold_can_change_between_calls(tiny_model):
    estimator = Estimator.from_file(tiny_model, score_threshold=0.85)
    assert len(estimator.detect(image())) == 1
    estimator.score_threshold = 0.0
    assert len(estimator.detect(image())) == 3
    estimator.score_threshold = None
    assert estimator.score_threshold == estimator.backend.sidecar.score_threshold
    with pytest.raises(HandmeshError, match="between 0 and 1"):
        estimator.score_threshold = float("nan")


def test_images_of_changing_size_leave_no_trace(estimator, monkeypatch):
    seen = []
    run = estimator.backend.infer
    monkeypatch.setattr(
        estimator.backend,
        "infer",
        lambda pixels, camera: seen.append(pixels.copy()) or run(pixels, camera),
    )
    for size in ((480, 640), (300, 100), (480, 640)):
        estimator.detect(image(*size, value=255))
    np.testing.assert_array_equal(seen[0], seen[2])
    assert (seen[1][0, :, 40:] == 114).all()


def test_timings_add_up(estimator):
    estimator.detect(image())
    timings = estimator.timings
    assert timings.inference_ms > 0
    assert timings.total_ms == pytest.approx(
        timings.preprocess_ms + timings.inference_ms + timings.decode_ms
    )


def test_views_and_read_only_images_work(estimator):
    picture = np.random.default_rng(0).integers(1, 255, (240, 320, 3), dtype=np.uint8)
    expected = estimator.detect(picture, INTRINSICS).keypoints_2d
    picture.flags.writeable = False
    np.testing.assert_array_equal(estimator.detect(picture, INTRINSICS).keypoints_2d, expected)
    assert len(estimator.detect(picture[::-2, ::-1, ::-1], INTRINSICS)) == 2


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "uint8"),
        ([[0, 0, 0]], "uint8"),
        (np.zeros((4, 4), np.uint8), "shape"),
        (np.zeros((4, 4, 4), np.uint8), "RGB"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
    ],
)
def test_unusable_images_are_refused_in_one_sentence(estimator, picture, message):
    with pytest.raises(HandmeshError, match=message):
        estimator.detect(picture)
    assert len(estimator.detect(image())) == 2


@pytest.mark.parametrize(
    "intrinsics",
    [(1, 2, 3), (np.nan, 500, 1, 1), (500, 0, 1, 1), (-5, 500, 1, 1), (5, 5, np.inf, 1), "abc"],
)
def test_unusable_intrinsics_are_refused_in_one_sentence(estimator, intrinsics):
    with pytest.raises(HandmeshError, match="intrinsics"):
        estimator.detect(image(), intrinsics)


@pytest.mark.parametrize(
    "name",
    [
        *("handedness", "box", "joints_2d", "joints", "vertices"),
        *("rotations", "shape", "translation", "colors"),
    ],
)
def test_numbers_that_are_not_finite_never_leave(estimator, monkeypatch, name):
    run = estimator.backend.infer

    def broken(pixels, camera):
        outputs = run(pixels, camera)
        outputs[name].reshape(len(outputs[name]), -1)[0, -1] = np.nan
        return outputs

    monkeypatch.setattr(estimator.backend, "infer", broken)
    np.testing.assert_allclose(estimator.detect(image()).score, [0.8, 0.6])

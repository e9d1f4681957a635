import numpy as np
import pytest

from benchmarks.scenes import CENTRE_PX, FOCAL_PX, NO_NOISE, Actor, Stage
from benchmarks.tracking import swing
from benchmarks.wrist_errors import errors_of, variants
from handmesh_ros.hand.hands import ScaleSource
from handmesh_ros.hand.size import rescaled
from handmesh_ros.training.evaluation.metrics import TrueHands

INTRINSICS = np.array([FOCAL_PX, FOCAL_PX, *CENTRE_PX])
BOTH = np.arange(2)


@pytest.fixture(scope="module")
def hands():
    still = (0.0, 0.0, 0.0)
    actors = [
        Actor(True, swing((0.12, 0.05, 0.55), still, 1.0)),
        Actor(False, swing((-0.12, 0.05, 0.7), still, 1.0), phase=1.0),
    ]
    return next(iter(Stage(NO_NOISE, with_mesh=True).play(actors, 0.03))).truth


@pytest.fixture(scope="module")
def truth(hands):
    return TrueHands(
        is_right=hands.right_probability > 0.5,
        box=hands.box,
        keypoints_2d=hands.keypoints_2d,
        keypoints_counted=np.ones((2, 21), bool),
        has_3d=np.ones(2, bool),
        joints=hands.joints,
        vertices=hands.vertices,
        colors=hands.colors,
        ignored=np.zeros(2, bool),
        width=640,
        height=480,
    )


def test_the_truth_has_no_errors(hands, truth):
    for part in errors_of(hands, truth, BOTH, INTRINSICS):
        np.testing.assert_allclose(part, 0.0, atol=1e-3)


def test_a_wrong_size_is_an_error_along_the_ray(hands, truth):
    grown = rescaled(hands, np.full(2, 1.1), hands.scale_source)
    across, along, turn, whitened = errors_of(grown, truth, BOTH, INTRINSICS)
    np.testing.assert_allclose(along, 1.0 - 1.0 / 1.1, atol=1e-3)
    np.testing.assert_allclose(across, 0.0, atol=1e-3)
    np.testing.assert_allclose(turn, 0.0, atol=1e-3)
    assert (np.abs(whitened[:, 2]) > 0.1).all()


def test_a_shift_in_the_image_is_told_relative_to_the_hand(hands, truth):
    moved = hands.replace(translation=hands.translation + np.float32([0.02, 0.0, 0.0]))
    across, _, _, _ = errors_of(moved, truth, BOTH, INTRINSICS)
    diagonal = np.linalg.norm(hands.box[:, 2:] - hands.box[:, :2], axis=1)
    expected = 0.02 * FOCAL_PX / hands.translation[:, 2] / diagonal
    np.testing.assert_allclose(np.linalg.norm(across, axis=1), expected, rtol=0.15)


def test_calibration_and_depth_correct_the_size(hands, truth):
    grown = rescaled(hands, np.full(2, 1.3), hands.scale_source)
    for source, sized, which in variants(grown, truth, BOTH, INTRINSICS, seed=0):
        off = np.linalg.norm(sized.translation - truth.joints[which, 0], axis=1)
        assert len(which) == 2
        assert (off > 0.1).all() if source == ScaleSource.ASSUMED else (off < 0.01).all()

import numpy as np
import pytest

from benchmarks.scenes import Actor, Noise, Stage
from benchmarks.tracking import swing
from handmesh_ros.hand.hands import ScaleSource
from handmesh_ros.hand.size import calibrated, hand_length


@pytest.fixture
def hands():
    still = (0.0, 0.0, 0.0)
    actors = [
        Actor(True, swing((0.12, 0.05, 0.55), still, 1.0)),
        Actor(False, swing((-0.12, 0.05, 0.7), still, 1.0), phase=1.0, size=0.9),
    ]
    return next(iter(Stage(Noise(*[0.0] * 7)).play(actors, 0.03))).truth


def test_bending_does_not_change_the_length(hands):
    right, left = hand_length(hands.joints)
    assert left / right == pytest.approx(0.9, rel=1e-3)


def test_a_known_length_sets_size_and_distance_and_keeps_the_picture(hands):
    fixed = calibrated(hands, 0.0, 0.2)
    assert fixed.scale_source.tolist() == [ScaleSource.CALIBRATED, ScaleSource.ASSUMED]
    assert hand_length(fixed.joints)[0] == pytest.approx(0.2, rel=1e-5)
    np.testing.assert_array_equal(fixed.joints[1], hands.joints[1])
    ratio = fixed.joints[..., :2] / fixed.joints[..., 2:]
    np.testing.assert_allclose(ratio, hands.joints[..., :2] / hands.joints[..., 2:], atol=1e-5)

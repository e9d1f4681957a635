import numpy as np
import pytest

from handmesh_ros.hand.rotations import from_rotation_vectors, inverse, multiply, rotation_vectors
from handmesh_ros.tracking.one_euro import OFF, OneEuro, RotationOneEuro, Smoothing

STEP_S = 1 / 30
SMOOTH = Smoothing(cutoff_hz=1.0, beta=2.0)
FIRST = np.array([0])


def filtered(values: np.ndarray, smoothing: Smoothing) -> np.ndarray:
    """One point in R^D over time, (T, D)."""
    one = OneEuro((1,), values.shape[1], pooled=(False,))
    one.append(values[None, :1])
    seen = [one.value[0, 0].copy()]
    for value in values[1:]:
        one.update(FIRST, value[None, None], np.array([STEP_S]), (smoothing,))
        seen.append(one.value[0, 0].copy())
    return np.array(seen)


def test_noise_on_a_still_point_shrinks():
    noisy = np.random.default_rng(0).normal(0.0, 0.01, (300, 2))
    assert filtered(noisy, SMOOTH)[60:].std() < 0.5 * noisy.std()


def test_off_follows_exactly():
    noisy = np.random.default_rng(0).normal(size=(20, 3))
    np.testing.assert_allclose(filtered(noisy, OFF), noisy)


def test_a_fast_point_lags_less_than_with_a_fixed_low_pass():
    ramp = 2.0 * STEP_S * np.arange(60.0)[:, None]
    behind = [abs(filtered(ramp, how)[-1] - ramp[-1]) for how in (SMOOTH, Smoothing(1.0, 0.0))]
    assert behind[0] < 0.35 * behind[1]


def test_the_rate_becomes_the_speed_and_carries_the_value_on():
    one = OneEuro((1,), 1, pooled=(False,))
    one.append(np.zeros((1, 1, 1)))
    for number in range(1, 60):
        one.update(FIRST, np.full((1, 1, 1), 3.0 * STEP_S * number), np.array([STEP_S]), (OFF,))
    assert one.rate[0, 0, 0] == pytest.approx(3.0, rel=1e-3)
    assert one.ahead(np.array([0.1]))[0, 0, 0] == pytest.approx(one.value[0, 0, 0] + 0.3, rel=1e-3)


def test_a_pooled_group_shares_the_gain_of_its_fastest_point():
    one = OneEuro((2, 2), 1, pooled=(True, False))
    one.append(np.zeros((1, 4, 1)))
    gain = one.update(
        FIRST, np.array([[[0.0], [1.0], [0.0], [1.0]]]), np.array([STEP_S]), (SMOOTH, SMOOTH)
    )[0]
    assert gain[0] == gain[1] == gain[3] > gain[2]


def test_tracks_are_independent_and_can_be_forgotten():
    one = OneEuro((1,), 1, pooled=(False,))
    one.append(np.array([[[1.0]], [[2.0]], [[3.0]]]))
    one.update(np.array([2]), np.array([[[4.0]]]), np.array([STEP_S]), (OFF,))
    one.keep(np.array([False, True, True]))
    np.testing.assert_array_equal(one.value[:, 0, 0], [2.0, 4.0])
    assert one.rate[0, 0, 0] == 0.0 < one.rate[1, 0, 0]


def test_equal_stamps_give_finite_numbers():
    one = OneEuro((1,), 1, pooled=(False,))
    one.append(np.zeros((1, 1, 1)))
    one.update(FIRST, np.ones((1, 1, 1)), np.zeros(1), (SMOOTH,))
    assert np.isfinite(one.value).all() and np.isfinite(one.rate).all()


def test_rotations_stay_on_the_geodesic_and_take_the_short_way():
    axis = np.array([0.0, 0.6, 0.8])
    start, end = from_rotation_vectors(axis * 3.0), -from_rotation_vectors(axis * 3.4)
    one = RotationOneEuro((1,), pooled=(False,))
    one.append(start[None, None])
    one.update(FIRST, end[None, None], np.array([STEP_S]), (SMOOTH,))
    turned = rotation_vectors(multiply(inverse(start), one.value[0, 0]))
    assert 0.0 < turned @ axis < 0.4
    np.testing.assert_allclose(np.cross(turned, axis), 0.0, atol=1e-9)
    assert np.linalg.norm(one.value[0, 0]) == pytest.approx(1.0)


def test_noise_on_a_still_rotation_shrinks():
    random = np.random.default_rng(2)
    still = from_rotation_vectors(np.array([0.3, -2.0, 1.0]))
    one = RotationOneEuro((1,), pooled=(False,))
    one.append(still[None, None])
    errors = []
    for _ in range(200):
        noisy = multiply(still, from_rotation_vectors(random.normal(0.0, 0.05, 3)))
        one.update(FIRST, noisy[None, None], np.array([STEP_S]), (Smoothing(1.0, 0.2),))
        errors.append(np.linalg.norm(rotation_vectors(multiply(inverse(still), one.value[0, 0]))))
    assert np.mean(errors[50:]) < 0.5 * 0.05 * np.sqrt(8 / np.pi)

import numpy as np
import pytest

from handmesh_ros.tracking.alpha_beta import AlphaBetaFilter
from handmesh_ros.tracking.one_euro import OFF, Smoothing

STEP_S = 1 / 30
FIRST = np.array([0])
NOISE = 0.01
STEADY = Smoothing(cutoff_hz=0.7, beta=10.0, rest=2.0 * NOISE)


def filtered(values: np.ndarray, smoothing: Smoothing) -> np.ndarray:
    """One coordinate over time, (T,)."""
    alpha_beta = AlphaBetaFilter((1,), 1, pooled=(False,))
    alpha_beta.append(values[:1, None, None])
    seen = [values[0]]
    for value in values[1:]:
        alpha_beta.update(FIRST, np.full((1, 1, 1), value), np.array([STEP_S]), (smoothing,))
        seen.append(alpha_beta.value[0, 0, 0])
    return np.array(seen)


def test_noise_on_a_still_point_nearly_vanishes():
    noisy = np.random.default_rng(1).normal(0.0, NOISE, 600)
    without_rest = Smoothing(STEADY.cutoff_hz, STEADY.beta)
    spreads = [filtered(noisy, how)[150:].std() for how in (STEADY, without_rest)]
    assert spreads[0] < 0.25 * NOISE and spreads[0] < 0.6 * spreads[1]


def test_a_steady_motion_is_not_behind():
    ramp = 0.5 * STEP_S * np.arange(120.0)
    assert abs(filtered(ramp, STEADY)[-1] - ramp[-1]) < 0.01 * 0.5


def test_a_slow_motion_is_behind_by_less_than_the_rest():
    ramp = 0.01 * STEP_S * np.arange(600.0)
    assert np.abs(filtered(ramp, STEADY) - ramp).max() < 0.6 * STEADY.rest


def test_a_motion_is_told_by_its_rate_before_it_deviates():
    ramp = np.maximum(STEP_S * (np.arange(90.0) - 30.0), 0.0) * 0.15
    behind = (ramp - filtered(ramp, STEADY))[45:]
    assert np.abs(behind).max() < 0.3 * STEADY.rest


def test_strong_noise_widens_the_rest_but_not_without_bound():
    noisy = np.random.default_rng(1).normal(0.0, NOISE, 900)
    still = filtered(2.0 * noisy, STEADY)[150:].std() / (2.0 * NOISE)
    assert still < 0.25
    wild = filtered(np.cumsum(50.0 * noisy), STEADY)
    assert abs(wild[-1] - np.cumsum(50.0 * noisy)[-1]) < 5.0


def test_a_track_that_is_forgotten_takes_its_noise_along():
    alpha_beta = AlphaBetaFilter((1,), 1, pooled=(False,))
    alpha_beta.append(np.zeros((2, 1, 1)))
    both, steps = np.array([0, 1]), np.full(2, STEP_S)
    for value in (0.3, -0.3, 0.3):
        alpha_beta.update(both, np.array([[[value]], [[0.0]]]), steps, (STEADY,))
    alpha_beta.keep(np.array([False, True]))
    alpha_beta.update(FIRST, np.zeros((1, 1, 1)), steps[:1], (STEADY,))
    assert len(alpha_beta.value) == 1 and alpha_beta.value[0, 0, 0] == 0.0


def test_a_step_is_followed():
    assert filtered(np.array([0.0] * 30 + [1.0] * 60), STEADY)[-1] == pytest.approx(1.0, abs=0.03)


def test_off_follows_exactly():
    noisy = np.random.default_rng(0).normal(size=20)
    np.testing.assert_allclose(filtered(noisy, OFF), noisy)


def test_equal_stamps_give_finite_numbers():
    alpha_beta = AlphaBetaFilter((1,), 1, pooled=(False,))
    alpha_beta.append(np.zeros((1, 1, 1)))
    alpha_beta.update(FIRST, np.ones((1, 1, 1)), np.zeros(1), (STEADY,))
    assert np.isfinite(alpha_beta.value).all() and np.isfinite(alpha_beta.rate).all()

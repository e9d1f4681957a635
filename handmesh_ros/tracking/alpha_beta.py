"""An alpha-beta (g-h) filter with the One Euro filter's adaptive cut-off and a dead band."""

from __future__ import annotations

import numpy as np

from handmesh_ros.tracking.one_euro import (
    MIN_STEP_S,
    RATE_CUTOFF_HZ,
    OneEuro,
    Smoothing,
    low_pass_gain,
)

REST_HZ = 30.0
"""Full deviations from rest are taken over at about this rate."""

NOISE_HZ = 0.25
"""Cut-off of the low-pass on the noise."""

REST_NOISES, WIDEST_REST = 3.5, 3.0
"""Where noise is strong, rest is so many of its standard deviations, but at most so many times
what is set."""


class AlphaBetaFilter(OneEuro):
    """Filters vectors with less lag in motion and less jitter at rest than One Euro.

    Two steps, with One Euro's cut-off that grows with speed in the first:

    - A critically damped g-h filter (Brookner, Tracking and Kalman Filtering Made Easy, 1998,
      section 1.3) expects a point to go on at its rate, so that at constant speed it does not lag,
      which a low-pass does.
    - The value follows that only where deviation and rate together are more than noise makes them:
      with d² = deviation² + (rate / (2π · cut-off at rest))² it takes over 1 - exp(-(d / rest)^4)
      of the deviation in each 1 / `REST_HZ` seconds. The rate tells of a motion long before the
      deviation does; in exchange for rest a value that creeps may be behind by up to half of
      `Smoothing.rest`.

    Measurements that tremble more than others rest more widely: the change of their residuals from
    one to the next is noise, whatever the motion.

    The deviation of a point is that of its own coordinates, in their units.
    """

    def __init__(self, groups: tuple[int, ...], size: int, pooled: tuple[bool, ...]) -> None:
        super().__init__(groups, size, pooled)
        self._residual = np.zeros_like(self.rate)
        self._variance = np.zeros(self.rate.shape[:2])

    def append(self, measured: np.ndarray) -> None:
        """Start tracks at (n, P, D) values, at rest."""
        super().append(measured)
        none = np.zeros_like(measured)
        self._residual = np.concatenate([self._residual, none])
        self._variance = np.concatenate([self._variance, none[..., 0]])

    def keep(self, rows: np.ndarray) -> None:
        """Forget all tracks but these rows."""
        super().keep(rows)
        self._residual, self._variance = self._residual[rows], self._variance[rows]

    def update(
        self,
        rows: np.ndarray | slice,
        measured: np.ndarray,
        step_s: np.ndarray,
        smoothing: tuple[Smoothing, ...],
        unit: np.ndarray | float = 1.0,
    ) -> np.ndarray:
        """Take measured values in; arguments and result are those of `OneEuro.update`."""
        step = np.maximum(step_s, MIN_STEP_S)[:, None]
        shown, inner = self._values[:, rows]
        rate = self.rate[rows]
        memory = np.exp(-2.0 * np.pi * self.cutoff_hz(rate, smoothing, unit) * step)
        rate_gain = np.minimum((1.0 - memory) ** 2, low_pass_gain(RATE_CUTOFF_HZ, step))
        expected = inner + rate * step[..., None]
        surprise = measured - expected
        gain = 1.0 - memory**2
        inner = expected + gain[..., None] * surprise
        rate = rate + (rate_gain / step)[..., None] * surprise
        self.rate[rows] = rate

        cutoff_hz, _, rest = self.per_point(smoothing)
        ahead_s, noise = 1.0 / (2.0 * np.pi * cutoff_hz), self._noise(rows, measured - inner, step)
        wider = np.maximum(np.minimum(noise, WIDEST_REST * rest), np.maximum(rest, 1e-12))
        away = inner - shown
        moved = np.einsum("npd,npd->np", away, away)
        moved += ahead_s**2 * np.einsum("npd,npd->np", rate, rate)
        taken = -np.expm1(-(np.minimum(moved / wider**2, 100.0) ** 2) * REST_HZ * step)
        taken[:, rest == 0.0] = 1.0
        self._values[0, rows] = shown + taken[..., None] * away
        self._values[1, rows] = inner
        return gain

    def _noise(
        self, rows: np.ndarray | slice, residual: np.ndarray, step_s: np.ndarray
    ) -> np.ndarray:
        """Return the (n, P) deviations that noise makes, after these (n, P, D) residuals."""
        change = residual - self._residual[rows]
        variance = self._variance[rows]
        found = 0.5 * np.einsum("npd,npd->np", change, change)
        variance = variance + low_pass_gain(NOISE_HZ, step_s) * (found - variance)
        self._residual[rows], self._variance[rows] = residual, variance
        return REST_NOISES * np.sqrt(variance)

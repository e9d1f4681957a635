"""A One Euro filter that expects motion to go on, and rest too."""

from __future__ import annotations

import numpy as np

from handmesh_ros.temporal.one_euro import (
    MIN_STEP_S,
    RATE_CUTOFF_HZ,
    OneEuro,
    Smoothing,
    low_pass_gain,
)

REST_HZ = 30.0
"""Full deviations from rest are taken over at about this rate."""


class SteadyOneEuro(OneEuro):
    """Filters vectors with less lag in motion and less jitter at rest than One Euro.

    Two steps, with One Euro's cut-off that grows with speed in the first:

    - A critically damped g-h filter (Brookner, Tracking and Kalman Filtering Made Easy, 1998,
      section 1.3) expects a point to go on at its rate, so that at constant speed it does not lag,
      which a low-pass does.
    - The value follows that only where the two differ by more than noise makes them differ:
      of a deviation d it takes over 1 - exp(-(d / rest)^4) in each 1 / `REST_HZ` seconds. In
      exchange a value may be behind by up to half of `Smoothing.rest`.

    The deviation of a point is that of its own coordinates, in their units.
    """

    def update(
        self,
        rows: np.ndarray,
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
        self.rate[rows] = rate + (rate_gain / step)[..., None] * surprise

        away = inner - shown
        rest = np.maximum(self.per_point([one.rest for one in smoothing]), 1e-12)
        distance = np.sqrt(np.einsum("npd,npd->np", away, away))
        taken = -np.expm1(-((np.minimum(distance / rest, 10.0)) ** 4) * REST_HZ * step)
        taken = np.where(rest > 1e-12, taken, 1.0)
        self._values[0, rows] = shown + taken[..., None] * away
        self._values[1, rows] = inner
        return gain

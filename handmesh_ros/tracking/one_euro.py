"""One Euro filters for many tracks at once, on vectors and on rotations.

A low-pass whose cut-off grows with speed: still things stand still, fast ones do not lag
(Casiez, Roussel and Vogel, 1€ Filter, CHI 2012). Every row has a time step of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from handmesh_ros.hand.rotations import (
    from_rotation_vectors,
    inverse,
    multiply,
    rotation_vectors,
)

RATE_CUTOFF_HZ = 2.0
"""Cut-off of the low-pass on the speed itself."""

MIN_STEP_S = 1e-3
"""Time steps are not shorter than this: equal stamps happen."""


@dataclass(frozen=True)
class Smoothing:
    """How strongly one group of numbers is smoothed.

    Attributes:
        cutoff_hz: at rest; lower stands stiller, infinity does not smooth.
        beta: by how many Hz the cut-off rises per unit of speed; higher lags less.
        rest: of a `AlphaBetaFilter`: deviations much below it do not move the value.
    """

    cutoff_hz: float
    beta: float
    rest: float = 0.0


OFF = Smoothing(float("inf"), 0.0)
"""No smoothing: the measurements are followed exactly."""


def low_pass_gain(cutoff_hz: np.ndarray | float, step_s: np.ndarray) -> np.ndarray:
    """Return the weight of a new value in a first-order low-pass, in (0, 1].

    Args:
        cutoff_hz: (...) cut-off frequency.
        step_s: (...) time since the previous value.
    """
    return 1.0 / (1.0 + 1.0 / (2.0 * np.pi * cutoff_hz * step_s))


@lru_cache(maxsize=64)
def _per_point(smoothing: tuple[Smoothing, ...], counts: tuple[int, ...]) -> np.ndarray:
    values = [(one.cutoff_hz, one.beta, one.rest) for one in smoothing]
    return np.repeat(np.array(values).T, counts, axis=1)


class OneEuro:
    """Filters M tracks of P points, which may be of several groups, in R^D.

    Attributes:
        rate: (M, P, D) low-passed change per second.

    Args:
        groups: how many points belong to each group.
        size: D.
        pooled: whether the points of each group share the gain of the fastest, so that they stay
            together.
    """

    def __init__(self, groups: tuple[int, ...], size: int, pooled: tuple[bool, ...]) -> None:
        ends = np.cumsum(groups)
        self._groups = [slice(end - count, end) for count, end in zip(groups, ends, strict=True)]
        self._counts, self._pooled = groups, pooled
        # The filtered value and, behind it, the measurement that came last.
        self._values = np.zeros((2, 0, int(ends[-1]), size))
        self.rate = np.zeros((0, int(ends[-1]), self.rate_size(size)))

    @property
    def value(self) -> np.ndarray:
        """(M, P, D) filtered values."""
        return self._values[0]

    def append(self, measured: np.ndarray) -> None:
        """Start tracks at (n, P, D) values, at rest."""
        self._values = np.concatenate([self._values, np.stack([measured, measured])], axis=1)
        still = np.zeros((len(measured), *self.rate.shape[1:]))
        self.rate = np.concatenate([self.rate, still])

    def keep(self, rows: np.ndarray) -> None:
        """Forget all tracks but these rows."""
        self._values, self.rate = self._values[:, rows], self.rate[rows]

    def restart(self, rows: np.ndarray, measured: np.ndarray) -> None:
        """Put tracks at (n, P, D) values, at rest."""
        self._values[:, rows] = measured
        self.rate[rows] = 0.0

    def shift(self, rows: np.ndarray, step: np.ndarray) -> None:
        """Move tracks by (n, P, ...) steps, whatever their rates."""
        self._values[:, rows] = self.moved(self._values[:, rows], step)

    def update(
        self,
        rows: np.ndarray | slice,
        measured: np.ndarray,
        step_s: np.ndarray,
        smoothing: tuple[Smoothing, ...],
        unit: np.ndarray | float = 1.0,
    ) -> np.ndarray:
        """Take measured values in.

        Args:
            rows: (n,) tracks that they belong to.
            measured: (n, P, D) values.
            step_s: (n,) time since each track's previous value.
            smoothing: strength for each group.
            unit: speeds are multiplied by it before `beta`; a number or (n, P).

        Returns:
            (n, P) gains that were used: 1 where the measurement was taken as it is.
        """
        step = np.maximum(step_s, MIN_STEP_S)[:, None]
        old = self._values[:, rows]
        change, last_change = self.difference(measured, old)
        rate_gain = low_pass_gain(RATE_CUTOFF_HZ, step)[..., None]
        rate = self.rate[rows]
        rate = rate + rate_gain * (last_change / step[..., None] - rate)
        self.rate[rows] = rate
        gain = low_pass_gain(self.cutoff_hz(rate, smoothing, unit), step)
        self._values[0, rows] = self.moved(old[0], gain[..., None] * change)
        self._values[1, rows] = measured
        return gain

    def cutoff_hz(
        self, rate: np.ndarray, smoothing: tuple[Smoothing, ...], unit: np.ndarray | float
    ) -> np.ndarray:
        """Return the (n, P) cut-offs at these rates; the arguments are those of `update`."""
        speed = np.sqrt(np.einsum("npd,npd->np", rate, rate)) * unit
        for group, pooled in zip(self._groups, self._pooled, strict=True):
            if pooled:
                speed[:, group] = speed[:, group].max(1, keepdims=True)
        cutoff_hz, beta, _ = self.per_point(smoothing)
        return cutoff_hz + speed * beta

    def per_point(self, smoothing: tuple[Smoothing, ...]) -> np.ndarray:
        """Return the (3, P) cut-offs, slopes and rests of points from those of their groups."""
        return _per_point(smoothing, self._counts)

    def ahead(self, horizon_s: np.ndarray, fastest: np.ndarray | float = np.inf) -> np.ndarray:
        """Return (M, P, D) values carried on at their rates for (M,) seconds.

        Args:
            horizon_s: (M,) for how long.
            fastest: bounds of the rates' lengths; a number or (P,).
        """
        speed = np.sqrt(np.einsum("mpd,mpd->mp", self.rate, self.rate))
        share = np.minimum(1.0, fastest / np.maximum(speed, 1e-9))
        return self.moved(self.value, self.rate * (share * horizon_s[:, None])[..., None])

    @staticmethod
    def rate_size(size: int) -> int:
        """Return the number of coordinates of a step between values of D coordinates."""
        return size

    @staticmethod
    def difference(new: np.ndarray, old: np.ndarray) -> np.ndarray:
        """Return the step that leads from `old` to `new`."""
        return new - old

    @staticmethod
    def moved(value: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Return values after a step."""
        return value + step


class RotationOneEuro(OneEuro):
    """Filters rotations on SO(3): along geodesics, so that no axis is favoured.

    Values are (M, P, 4) unit quaternions x, y, z, w; rates are (M, P, 3) rotation vectors in the
    rotating frame, radians per second.
    """

    def __init__(self, groups: tuple[int, ...], pooled: tuple[bool, ...]) -> None:
        super().__init__(groups, 4, pooled)

    @staticmethod
    def rate_size(size: int) -> int:
        """Return 3: a turn has three coordinates."""
        return size - 1

    @staticmethod
    def difference(new: np.ndarray, old: np.ndarray) -> np.ndarray:
        """Return the rotation vector, in the frame of `old`, that leads to `new`."""
        return rotation_vectors(multiply(inverse(old), new))

    @staticmethod
    def moved(value: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Return rotations after a turn in their own frame, normalised."""
        turned = multiply(value, from_rotation_vectors(step))
        return turned / np.sqrt(np.einsum("...i,...i->...", turned, turned))[..., None]

"""Open hand, pinch, grasp, pointing: how clearly a hand shows each, and which one it holds."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from handmesh_ros.hand.size import hand_length
from handmesh_ros.hand.vectors import lengths
from handmesh_ros.teleop.geometry import CHAINS, pinch_aperture

STRAIGHT_DEG, CLOSED_DEG = 45.0, 105.0
"""A finger whose three joints bend by less in sum counts as stretched, by more as closed."""

PINCH_RATIO = 0.11
"""A pinch begins below this distance of thumb tip and index tip over the length of the hand. Pads
that touch leave 0.02 to 0.10 between the tips, for they are behind them."""

MEET, APART = 0.45, 1.82
"""Thumb and index finger clearly meet, or clearly do not, at these parts of that distance. A pinch
then ends at 1.27 of it."""

LOOSE_DEG, CURLED_DEG = 75.0, 115.0
"""In a pinch another finger is bent by less in sum, as in a relaxed hand; with all of them bent by
more it is a grasp."""

ENTER, LEAVE, MARGIN = 0.6, 0.4, 0.2
"""A gesture begins when its clarity reaches `ENTER`, and ends below `LEAVE` or when another one is
clearer by `MARGIN`."""

SETTLE_S = 0.05
"""Time constant of the clarities: one image that went wrong changes no gesture."""


class Gesture(IntEnum):
    """What a hand shows; the values are those of HandMesh.msg."""

    NONE = 0
    OPEN = 1
    PINCH = 2
    GRASP = 3
    POINT = 4


def finger_bends(joints: np.ndarray) -> np.ndarray:
    """Return by how much each finger is bent: the sum of the angles of its three joints.

    Args:
        joints: (..., 21, 3) keypoints, metres.

    Returns:
        (..., 5) degrees, thumb to little finger. Neither size nor position matter.
    """
    chains = np.asarray(joints, np.float64)[..., CHAINS, :]
    bones = chains[..., 1:, :] - chains[..., :-1, :]
    length = np.maximum(lengths(bones), 1e-9)
    dots = np.einsum("...bd,...bd->...b", bones[..., :-1, :], bones[..., 1:, :])
    cosines = dots / (length[..., :-1] * length[..., 1:])
    return np.degrees(np.arccos(np.minimum(np.maximum(cosines, -1.0), 1.0))).sum(-1)


def clarity(joints: np.ndarray, pinch_ratio: float = PINCH_RATIO) -> np.ndarray:
    """Return how clearly each hand shows each gesture, from its pose alone.

    Open: the least stretched of the four fingers decides. Grasp: the least closed of the four.
    Point: index finger stretched, the other three closed. Pinch: thumb tip and index tip meet
    while another finger is not curled; with all curled it would be told from a thing in the hand
    by millimetres. A clear pinch takes from the other gestures.

    Args:
        joints: (N, 21, 3) keypoints, metres.
        pinch_ratio: distance of the tips over the hand's length below which a pinch begins.

    Returns:
        (N, 5) in [0, 1], columns in the order of `Gesture`; that of NONE is one minus the
        clearest.
    """
    bends = finger_bends(joints)[:, 1:]
    closed = _ramp(bends, STRAIGHT_DEG, CLOSED_DEG)
    ratio = pinch_aperture(joints) / np.maximum(hand_length(joints), 1e-6)
    index, others = closed[:, 0], closed[:, 1:].min(-1)
    curled = _ramp(bends[:, 1:].min(-1), LOOSE_DEG, CURLED_DEG)
    apart = _ramp(ratio, MEET * pinch_ratio, APART * pinch_ratio)
    pinch = 1.0 - np.maximum(apart, curled)
    rest = 1.0 - _ramp(pinch, LEAVE, ENTER)
    result = np.empty((len(joints), len(Gesture)))
    result[:, Gesture.OPEN] = rest * (1.0 - closed.max(-1))
    result[:, Gesture.PINCH] = pinch
    result[:, Gesture.GRASP] = rest * np.minimum(index, others)
    result[:, Gesture.POINT] = rest * np.minimum(1.0 - index, others)
    result[:, Gesture.NONE] = 1.0 - result[:, 1:].max(-1)
    return result


class GestureMemory:
    """Which gesture every track holds, with hysteresis; forgets tracks that it is not shown."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all tracks."""
        self._rows: dict[int, int] = {}
        self._clarity = np.zeros((0, len(Gesture)))
        self._gesture = np.zeros(0, np.uint8)
        self._seen_s = np.zeros(0)

    def update(
        self,
        joints: np.ndarray,
        track_id: np.ndarray,
        is_seen: np.ndarray,
        stamp_s: float,
        pinch_ratio: float = PINCH_RATIO,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take in the hands at the time of one image.

        Args:
            joints: (N, 21, 3) keypoints of all tracks, metres.
            track_id: (N,) their ids.
            is_seen: (N,) the image shows them; the others keep their gesture.
            stamp_s: capture time.
            pinch_ratio: as of `clarity`.

        Returns:
            (N,) uint8 values of `Gesture` and (N,) their clarity in [0, 1].
        """
        ids, count = track_id.tolist(), len(track_id)
        rows = np.array([self._rows.get(identity, -1) for identity in ids], np.intp)
        known = np.flatnonzero(rows >= 0)
        now, held = clarity(joints, pinch_ratio), np.zeros(count, np.uint8)
        seen_s = np.full(count, stamp_s)
        if len(known):
            before = self._clarity[rows[known]]
            seen_s[known] = self._seen_s[rows[known]]
            gain = -np.expm1(-np.maximum(stamp_s - seen_s[known], 0.0) / SETTLE_S)
            gain *= is_seen[known]
            now[known] = before + gain[:, None] * (now[known] - before)
            held[known] = self._gesture[rows[known]]
        gesture = settled(now, held)
        self._rows = {identity: row for row, identity in enumerate(ids)}
        self._clarity, self._gesture = now, gesture
        self._seen_s = np.where(is_seen, stamp_s, seen_s)
        return gesture, now[np.arange(count), gesture]


def settled(clarities: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Return the gestures after those that were held.

    Args:
        clarities: (N, 5) as `clarity` gives them.
        held: (N,) values of `Gesture` until now; NONE for a new hand.

    Returns:
        (N,) uint8 values of `Gesture`.
    """
    shown = clarities[:, 1:]
    best = shown.argmax(-1) + 1
    clearest, rows = shown.max(-1), np.arange(len(held))
    kept = clarities[rows, held]
    stays = (held != _NONE) & (kept >= LEAVE) & (clearest < kept + MARGIN)
    begun = np.where(clearest >= ENTER, best, _NONE)
    return np.where(stays, held, begun).astype(np.uint8)


_NONE = Gesture.NONE.value  # Faster to compare with than a member of an enumeration.


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.minimum(np.maximum((values - low) / (high - low), 0.0), 1.0)

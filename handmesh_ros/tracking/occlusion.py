"""Hands behind other hands: which of the unseen ones they are, and where they can be."""

from __future__ import annotations

import numpy as np

from handmesh_ros.tracking.tracks import Tracks

PATIENCE = 2.5
"""A hand behind another one is waited for so many times longer."""

REACH, KEPT = 1.25, 0.5
"""A hand that vanishes with its middle within the first part of a nearer hand's box is behind that
hand, and is kept within the second part, for elsewhere it would be seen."""

BRIEFLY_S = 0.15
"""Hands that were seen so recently still hide others."""

HITS = 10
"""A hand seen in fewer images may be a false one: it neither hides others nor is waited for."""


def hide(tracks: Tracks, is_seen: np.ndarray) -> None:
    """Find the unseen hands that nearer ones hide, and keep them where they can be.

    That a hand is not seen tells where it is not: one that another hand hides stays behind that
    one, until either is seen no more or it comes out. So hidden hands are moved with what they
    would come out of. `Tracks.hidden_by` is set.

    Args:
        tracks: M, with their ages.
        is_seen: (M,) the image shows them.
    """
    hidden_by, tracks.hidden_by = tracks.hidden_by, np.zeros(len(tracks), np.int64)
    is_known = tracks.hits >= HITS
    unseen = np.flatnonzero(is_known & ~is_seen)
    before = np.flatnonzero(is_known & (tracks.age_s < BRIEFLY_S))
    if not len(unseen) or not len(before):
        return
    points = tracks.expected_points()
    middle = points[unseen, 2:23].mean(1)
    low, high = points[before, 23], points[before, 24]
    centre, half = 0.5 * (low + high), np.maximum(0.5 * (high - low), 1.0)
    off = (np.abs(middle[:, None] - centre) / half).max(-1)
    off[points[unseen, None, 1, 0] <= points[before, 1, 0]] = np.inf
    off[hidden_by[unseen, None] == tracks.id[before]] = 0.0
    nearest = off.argmin(1)
    hidden = np.flatnonzero(off[np.arange(len(unseen)), nearest] < REACH)
    if len(hidden):
        middle, nearest = middle[hidden], nearest[hidden]
        room = KEPT * half[nearest]
        kept = np.clip(middle, centre[nearest] - room, centre[nearest] + room)
        tracks.hidden_by[unseen[hidden]] = tracks.id[before[nearest]]
        tracks.shift(unseen[hidden], kept - middle)

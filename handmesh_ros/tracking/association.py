"""Association of detections with tracks by motion, pose, size and side."""

from __future__ import annotations

import numpy as np

from handmesh_ros.tracking.linear_assignment import solve_linear_assignment
from handmesh_ros.tracking.observation import Observation
from handmesh_ros.tracking.tracks import Tracks

POSITION, DEPTH, ROTATION, POSE = (0.12, 1.5), (0.06, 0.7), (0.35, 3.0), (0.08, 0.5)
"""Standard deviations of differences, at once and what each unseen second adds: the position, of
a prediction at constant velocity, in hand lengths; the depth, relative; the wrist's rotation in
radians; the RMS difference of the joints in the wrist's frame in hand lengths."""

HIDDEN_POSITION = 0.3
"""The same of the position of a hand behind another one, which cannot be elsewhere."""

SIZE = 0.1
"""Standard deviation of the estimated size, relative."""

LARGEST_TERM = 16.0
"""A depth or a pose costs at most this. A network that sees half a hand, or a blurred one, errs by
many times its usual error in these; the place in the image still tells whose hand it is."""

OTHER_SIDE_POSTURE = 6.0
"""Poses of a left and a right hand cannot be compared: this cost stands in for the difference."""

GATE = 6.0
"""Further apart than so many standard deviations of the position it is another hand."""

DEPTH_GATE = (0.7, 1.0)
"""The same where the logarithms of the distances differ by more, at once and what each unseen
second adds: no hand is at twice its distance in the next image, however the network errs."""

WORST_COST = 36.0
"""Above this sum of squared differences a new hand is likelier."""

EXCHANGE = 15.0
"""That one hand goes and another comes costs this, the spread's logarithm included. So hands that
are where they were are not all moved along to make room for one that is new."""

_NEVER = 1e6


def associate(
    tracks: Tracks, seen: Observation, gap_s: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Associate tracks with observations at least total cost.

    Args:
        tracks: M.
        seen: N observations of one image.
        gap_s: (M,) time since each track was last seen.

    Returns:
        (P,) rows of tracks and (P,) indices of hands.
    """
    if not len(tracks) or not len(seen):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    cost = costs(tracks, seen, gap_s)
    # The logarithm of the spread completes a Gaussian's likelihood: without it a hand that is
    # unseen, and may be anywhere, would take the measurements of those that are seen.
    spread = _position(tracks, gap_s) ** 2 * _sigma(DEPTH, gap_s) * _sigma(ROTATION, gap_s) ** 3
    total = np.where(cost <= WORST_COST, cost + 2.0 * np.log(spread), EXCHANGE)
    total = np.minimum(total, EXCHANGE)
    rows, columns = solve_linear_assignment(total)
    paired = total[rows, columns] < EXCHANGE
    return rows[paired], columns[paired]


def costs(tracks: Tracks, seen: Observation, gap_s: np.ndarray) -> np.ndarray:
    """Return the (M, N) cost of every pair: squared differences in standard deviations.

    Args:
        tracks: M.
        seen: N observations of one image.
        gap_s: (M,) time since each track was last seen.
    """
    expected, length = tracks.translation(gap_s), tracks.length[:, None]
    bearing = expected[:, :2] / expected[:, 2:]
    across = (bearing[:, None] - seen.points[:, 0]) * (expected[:, 2:] / length)[:, None]
    position = np.sqrt(np.einsum("mnd,mnd->mn", across, across))
    position /= _position(tracks, gap_s)
    nearer = np.abs(np.log(expected[:, 2:]) - seen.points[:, 1, 0])
    depth = nearer / _sigma(DEPTH, gap_s)

    cosine = np.abs(tracks.turns.value[:, 0] @ seen.turns[:, 0].T)
    rotation = 2.0 * np.arccos(np.minimum(cosine, 1.0)) / _sigma(ROTATION, gap_s)
    pose = (tracks.local_joints / length[..., None]).reshape(len(tracks), 1, -1)
    pose = pose - (seen.local_joints / seen.length[:, None, None]).reshape(len(seen), -1)
    bent = np.einsum("mnk,mnk->mn", pose, pose) / 21.0 / _sigma(POSE, gap_s) ** 2
    posture = np.minimum(rotation**2 + bent, LARGEST_TERM)

    is_right = tracks.is_right[:, None]
    comparable = is_right == seen.is_right
    size = np.log(length / seen.length) / SIZE
    side = np.logaddexp(0.0, np.where(is_right, -1.0, 1.0) * seen.side_odds)
    total = position**2 + np.minimum(depth**2, LARGEST_TERM) + size**2 + side
    total += np.where(comparable, posture, OTHER_SIDE_POSTURE)
    possible = (position <= GATE) & (nearer <= _sigma(DEPTH_GATE, gap_s))
    return np.where(possible, total, _NEVER)


def _position(tracks: Tracks, gap_s: np.ndarray) -> np.ndarray:
    return np.where(tracks.hidden_by[:, None] > 0, HIDDEN_POSITION, _sigma(POSITION, gap_s))


def _sigma(spread: tuple[float, float], gap_s: np.ndarray) -> np.ndarray:
    return (spread[0] + spread[1] * gap_s)[:, None]

"""The state of all tracks as parallel arrays, filtered over time."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from handmesh_ros.hand.hands import Hands, ScaleSource
from handmesh_ros.hand.rotations import matrices
from handmesh_ros.tracking.alpha_beta import AlphaBetaFilter
from handmesh_ros.tracking.observation import NEAREST_M, Observation
from handmesh_ros.tracking.one_euro import OFF, OneEuro, RotationOneEuro, Smoothing

COAST_S = 0.15
"""Time constant of the velocity of a hand that is carried on unseen: no hand flies away."""

FASTEST = (4.0, 1.0)
"""Bounds of that velocity: across the ray, in distances from the camera per second; along it,
relative to the distance, per second. One image that went wrong makes a rate that no hand has."""

SIDE_LOCK = 25.0
"""Bound of the log-odds collected for a side, so that a wrong lock can be undone."""

SIDE_SWITCH = 6.0
"""Log-odds for the other side at which a track changes its side: more than two sure images from
the start, more than ten once it is locked."""

SIZE_MEMORY = 150.0
"""Size, shape and colours are means over about this many images."""


@dataclass(frozen=True)
class Filters:
    """Smoothing of each group of numbers.

    Attributes:
        position: across the viewing ray; speed in metres per second, rest as the tangent of an
            angle seen from the camera.
        depth: along the viewing ray; speed in metres per second, rest relative to the distance.
        rotation: of the wrist; speed in radians per second.
        fingers: all joints of a hand with one gain; speed in radians per second of the fastest.
        image: 2D keypoints and box; speed in box diagonals per second.
    """

    position: Smoothing = Smoothing(2.0, 25.0, 0.0033)
    depth: Smoothing = Smoothing(0.7, 10.0, 0.025)
    rotation: Smoothing = Smoothing(1.0, 1.5)
    fingers: Smoothing = Smoothing(1.0, 0.8)
    image: Smoothing = Smoothing(1.0, 10.0)

    @classmethod
    def off(cls) -> Filters:
        """Return filters that smooth nothing."""
        return cls(**dict.fromkeys((field.name for field in fields(cls)), OFF))


class Tracks:
    """M tracks; row i of every array belongs to the same hand.

    Args:
        vertex_count: of the hands.
        shape_count: number of their shape coefficients.

    Attributes:
        id: (M,) int64, never given twice.
        age_s: (M,) seconds since the hand was last seen.
        hits: (M,) in how many images it was seen.
        score: (M,) of the last image that showed it.
        is_right: (M,) the side that is locked.
        hidden_by: (M,) id of the track that it is not seen behind; 0 for none.
        length: (M,) hand length, metres, mean over the track.
        scale_source: (M,) uint8, values of `ScaleSource`.
        local_joints: (M, 21, 3) keypoints in the wrist's own frame, metres.
        points: filter of `Observation.points`.
        turns: filter of `Observation.turns`.
    """

    def __init__(self, vertex_count: int, shape_count: int) -> None:
        self.id, self.hidden_by = np.zeros((2, 0), np.int64)
        self.age_s, self.score, self.length = np.zeros((3, 0))
        self.hits = np.zeros(0, np.int64)
        self.is_right = np.zeros(0, bool)
        self.scale_source = np.zeros(0, np.uint8)
        self.local_joints = np.zeros((0, 21, 3))
        self._side_odds, self._weight = np.zeros((2, 0))
        self._length_source = np.zeros(0, np.uint8)
        self._shape = np.zeros((0, shape_count))
        # The mesh and the wrist, both seen from the camera, in axes of the wrist: so the mesh,
        # which is large, need not be moved to the wrist and back.
        self._vertices = np.zeros((0, vertex_count, 3), np.float32)
        self._origin = np.zeros((0, 1, 3), np.float32)
        self._colors = np.zeros((0, vertex_count, 3), np.float32)
        self._keypoint_scores = np.zeros((0, 21), np.float32)
        self._refined = np.zeros(0, bool)
        self.points = AlphaBetaFilter((1, 1, 23), 2, pooled=(False, False, False))
        self.turns = RotationOneEuro((1, 15), pooled=(False, True))

    def __len__(self) -> int:
        return len(self.id)

    @property
    def layout(self) -> tuple[int, int]:
        """Number of vertices and of shape coefficients."""
        return self._vertices.shape[1], self._shape.shape[1]

    def append(self, seen: Observation, ids: np.ndarray) -> None:
        """Start a track for each of the hands."""
        new: dict[str, np.ndarray] = {
            "id": ids,
            "age_s": np.zeros(len(seen)),
            "score": seen.score,
            "length": seen.length,
            "hits": np.ones(len(seen), np.int64),
            "is_right": seen.is_right,
            "hidden_by": np.zeros(len(seen), np.int64),
            "scale_source": seen.source,
            "local_joints": seen.local_joints,
            "_side_odds": seen.side_odds,
            "_weight": np.maximum(seen.score, 1e-3),
            "_length_source": seen.source,
            "_shape": seen.shape,
            "_vertices": seen.vertices @ seen.turn,
            "_origin": seen.wrist[:, None] @ seen.turn,
            "_colors": seen.colors,
            "_keypoint_scores": seen.keypoint_scores,
            "_refined": seen.refined,
        }
        for name, values in new.items():
            setattr(self, name, np.concatenate([getattr(self, name), values]))
        self.points.append(seen.points)
        self.turns.append(seen.turns)

    def keep(self, rows: np.ndarray) -> None:
        """Forget all tracks but these rows (indices or a mask)."""
        for name, values in vars(self).items():
            if isinstance(values, OneEuro):
                values.keep(rows)
            else:
                setattr(self, name, values[rows])

    def update(self, rows: np.ndarray, seen: Observation, step_s: np.ndarray, by: Filters) -> None:
        """Take in what an image shows.

        While the image contradicts the side that is locked, its mesh is one of the wrong side:
        only position and keypoints are taken from it, the pose is held.

        Args:
            rows: (n,) tracks, in ascending order.
            seen: n, the measurement of each.
            step_s: (n,) time since each was last seen.
            by: the filters.
        """
        # All tracks in order are the usual case: views cost less than copies.
        which: np.ndarray | slice = slice(None) if len(rows) == len(self) else rows
        self.age_s[which], self.score[which] = 0.0, seen.score
        self._keypoint_scores[which], self._refined[which] = seen.keypoint_scores, seen.refined
        self.hits[which] += 1
        changed = self._settle_side(which, seen.side_odds)
        resize = self._settle_size(which, seen, changed)
        points = seen.points.copy()
        has_depth = seen.source == _DEPTH
        points[:, 1, 0] += np.where(has_depth, 0.0, np.log(resize))
        corners = points[:, 24] - points[:, 23]
        unit = np.empty(points.shape[:2])
        unit[:, :2] = np.exp(points[:, 1, :1])
        unit[:, 2:] = 1.0 / np.maximum(np.hypot(corners[:, :1], corners[:, 1:]), 1.0)
        self.points.update(which, points, step_s, (by.position, by.depth, by.image), unit)

        agrees = seen.is_right == self.is_right[which]
        if not agrees.all():
            chosen = np.flatnonzero(agrees)
            rows, seen, step_s = rows[chosen], seen[chosen], step_s[chosen]
            which, changed, resize = rows, changed[chosen], resize[chosen]
        if changed.any():
            self.turns.restart(rows[changed], seen.turns[changed])
        gain = self.turns.update(which, seen.turns, step_s, (by.rotation, by.fingers))[:, 1]
        gain = np.where(changed, 1.0, gain)[:, None, None]
        size = resize[:, None, None]
        _blend(self.local_joints, which, seen.local_joints * size, gain)
        turn, gain = seen.turn * size.astype(np.float32), gain.astype(np.float32)
        _blend(self._vertices, which, seen.vertices @ turn, gain)
        _blend(self._origin, which, seen.wrist[:, None] @ turn, gain)
        slow = (seen.score / self._weight[which])[:, None]
        _blend(self._shape, which, seen.shape, slow)
        _blend(self._colors, which, seen.colors, slow[..., None].astype(np.float32))

    def expected_points(self) -> np.ndarray:
        """Return the (M, 25, 2) points, as in `Observation`, carried on for the tracks' ages."""
        return self._carried_on(_coast(self.age_s))

    def keypoints(self, ahead_s: np.ndarray) -> np.ndarray:
        """Return the (M, 21, 2) keypoints, carried on for (M,) seconds, float32 pixels."""
        return self._carried_on(_coast(ahead_s))[:, 2:23].astype(np.float32)

    def shift(self, rows: np.ndarray, pixels: np.ndarray) -> None:
        """Move tracks across the image, at their distance.

        Args:
            rows: (n,) tracks.
            pixels: (n, 2) by how much.
        """
        turns = matrices(self.turns.value[rows, 0])
        joints = self.local_joints[rows] @ turns.swapaxes(-1, -2)
        joints += _translation(self.points.value[rows])[:, None]
        # Pixels are bearings times the focal length, from some origin.
        bearings = joints[..., :2] / np.maximum(joints[..., 2:], NEAREST_M)
        size, size_px = (of.std(1).mean(1) for of in (bearings, self.points.value[rows, 2:23]))
        step = np.zeros((len(rows), *self.points.value.shape[1:]))
        step[:, 0] = pixels * (size / np.maximum(size_px, 1.0))[:, None]
        step[:, 2:] = pixels[:, None]
        self.points.shift(rows, step)

    def translation(self, ahead_s: np.ndarray) -> np.ndarray:
        """Return the (M, 3) wrists, carried on for (M,) seconds, metres, camera frame."""
        return _translation(self._carried_on(_coast(ahead_s)))

    def poses(self, ahead_s: np.ndarray, score: np.ndarray) -> Hands:
        """Return all tracks as hands, carried on at their velocities for (M,) seconds.

        The velocity dies away with `COAST_S`; fingers keep their pose.

        Args:
            ahead_s: (M,) by how much.
            score: (M,) theirs.
        """
        coast_s = _coast(ahead_s)
        translation = _translation(self._carried_on(coast_s))
        turns, image = self.turns.value, self.points.value[:, 2:]
        if coast_s.any():
            turns = turns.copy()
            turns[:, :1] = self.turns.ahead(coast_s)[:, :1]
            drift = self.points.rate[:, 2:23].mean(1, keepdims=True) * coast_s[:, None, None]
            image = image + drift
        rotations, image = matrices(turns), image.astype(np.float32)
        back = rotations[:, 0].swapaxes(-1, -2)
        mesh_back = back.astype(np.float32)
        vertices = self._vertices @ mesh_back
        moved = translation[:, None].astype(np.float32) - self._origin @ mesh_back
        for axis in range(3):  # Faster than all at once: the last axis is short.
            vertices[..., axis] += moved[..., axis]
        right = 1.0 / (1.0 + np.exp(-self._side_odds))
        right = np.where(self.is_right, np.maximum(right, 0.5), np.minimum(right, 0.4999))
        return Hands(
            score=score.astype(np.float32),
            right_probability=right.astype(np.float32),
            box=image[:, 21:].reshape(-1, 4),
            keypoints_2d=image[:, :21],
            joints=(self.local_joints @ back + translation[:, None]).astype(np.float32),
            vertices=vertices,
            rotations=rotations.astype(np.float32),
            shape=self._shape.astype(np.float32),
            translation=translation.astype(np.float32),
            colors=self._colors,
            scale_source=self.scale_source,
            keypoint_scores=self._keypoint_scores,
            refined=self._refined,
        )

    def _carried_on(self, coast_s: np.ndarray) -> np.ndarray:
        """Return the (M, 25, 2) points, moved at their rates for (M,) seconds."""
        return self.points.ahead(coast_s, _FASTEST) if coast_s.any() else self.points.value

    def _settle_side(self, rows: np.ndarray | slice, side_odds: np.ndarray) -> np.ndarray:
        """Collect evidence for a side; return (n,) where a track has changed its side."""
        odds = self._side_odds[rows] + side_odds
        odds = np.clip(odds, -SIDE_LOCK, SIDE_LOCK)
        was_right = self.is_right[rows]
        changed = np.where(was_right, odds < -SIDE_SWITCH, odds > SIDE_SWITCH)
        self._side_odds[rows] = odds
        self.is_right[rows] = was_right ^ changed
        return changed

    def _settle_size(
        self, rows: np.ndarray | slice, seen: Observation, changed: np.ndarray
    ) -> np.ndarray:
        """Average the hand length, of the best source so far; return (n,) its correction.

        A calibrated length is known, not estimated: it is taken as it is, by hands of its side,
        until these come without it. Hands that have changed their side forget it.
        """
        source, known = seen.source, self._length_source[rows]
        agrees = seen.is_right == self.is_right[rows]
        foreign = (source == _CALIBRATED) & ~agrees
        source = np.where(foreign, _ASSUMED, source)
        forgotten = (known == _CALIBRATED) & (changed | agrees & (source == _ASSUMED))
        known = np.where(forgotten, _ASSUMED, known)
        weight = np.minimum(self._weight[rows] + seen.score, SIZE_MEMORY)
        begins = (source > known) | forgotten
        weight = np.maximum(np.where(begins, seen.score, weight), 1e-3)
        length = self.length[rows]
        gain = np.where((source < known) | foreign, 0.0, np.minimum(seen.score / weight, 1.0))
        gain[(source == _CALIBRATED) & (known <= _CALIBRATED)] = 1.0
        length = length + gain * (seen.length - length)
        self.length[rows], self._weight[rows] = length, weight
        best = np.maximum(source, known)
        self._length_source[rows] = best
        measured_once = (best == _DEPTH) & (source != _DEPTH)
        self.scale_source[rows] = np.where(measured_once, _CALIBRATED, best)
        return length / seen.length


# Faster to compare with than members of an enumeration, which NumPy reads slowly.
_ASSUMED, _CALIBRATED, _DEPTH = (source.value for source in ScaleSource)

_FASTEST = np.array([*FASTEST, *[np.inf] * 23])  # keypoints and corners are as fast as they are


def _blend(mean: np.ndarray, rows: np.ndarray | slice, new: np.ndarray, gain: np.ndarray) -> None:
    step = new - mean[rows]
    step *= gain
    mean[rows] += step


def _coast(ahead_s: np.ndarray) -> np.ndarray:
    """Return for how long a constant velocity goes as far as one that dies away."""
    return COAST_S * -np.expm1(-ahead_s / COAST_S)


def _translation(points: np.ndarray) -> np.ndarray:
    """Return (M, 3) wrists of (M, 25, 2) points as in `Observation`."""
    depth = np.exp(points[:, 1, :1])
    return np.concatenate([points[:, 0] * depth, depth], axis=-1)

"""What the report says in numbers: hands against the truth, tables and curves. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from handmesh_ros.hand.conventions import SIDES
from handmesh_ros.hand.hands import Hands
from handmesh_ros.training.evaluation.metrics import Metrics, TrueHands, clip_boxes, match

SIZES = ((0.1, "below 10 %"), (0.2, "10–20 %"), (0.4, "20–40 %"), (np.inf, "above 40 %"))
"""Groups of a hand's size: longer side of its box by the longer side of the image."""

PCK_LIMITS = np.linspace(0.0, 0.3, 61)
"""Errors of the PCK curve, as parts of the true hand's size."""

_MATCH_IOU = 0.5


@dataclass(frozen=True)
class Judged:
    """The hands of one image against its truth.

    Attributes:
        true_hand: (N,) int, index of the true hand that each found one is; -1 for a false find,
            -2 where it lies on a place that does not count.
        error: (N,) mean distance of the keypoints from the true ones, as a part of the true
            hand's size; nan where there is none.
        missed: (M,) bool of the true hands that count.
        side_is_right: (N,) bool, the side is that of the true hand.
    """

    true_hand: np.ndarray
    error: np.ndarray
    missed: np.ndarray
    side_is_right: np.ndarray

    @property
    def false_finds(self) -> int:
        """How many hands are none."""
        return int((self.true_hand == -1).sum())

    def badness(self) -> float:
        """Return how bad the image is: a missed hand counts 2, a false one and a wrong side 1."""
        hit = self.true_hand >= 0
        wrong_sides = int((~self.side_is_right[hit]).sum())
        errors = float(np.minimum(np.nan_to_num(self.error), 1.0).sum())
        return 2.0 * float(self.missed.sum()) + self.false_finds + wrong_sides + errors


def keypoint_distances(found: np.ndarray, true: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return (21,) distances between keypoints (21, 2), by the longer side of the true box."""
    size = max(float((box[2:] - box[:2]).max()), 1e-6)
    return np.linalg.norm(found - true, axis=-1) / size


def judge(found: Hands, truth: TrueHands) -> Judged:
    """Match found hands to true ones as COCO does, at an intersection over union of 0.5."""
    box, true_box = (clip_boxes(box, truth.width, truth.height) for box in (found.box, truth.box))
    true_hand = match(found.score, box, true_box, _MATCH_IOU)
    error, side = np.full(len(found), np.nan), np.zeros(len(found), bool)
    missed = ~truth.ignored
    for i, j in enumerate(true_hand):
        if j < 0:
            continue
        if truth.ignored[j]:
            true_hand[i] = -2
            continue
        missed[j] = False
        side[i] = bool(found.handedness[i]) == bool(truth.is_right[j])
        counted = truth.keypoints_counted[j]
        if counted.any():
            distances = keypoint_distances(
                found.keypoints_2d[i], truth.keypoints_2d[j], truth.box[j]
            )
            error[i] = distances[counted].mean()
    return Judged(true_hand, error, missed, side)


def size_group(box: np.ndarray, width: int, height: int) -> str:
    """Return the name of a hand's size group."""
    part = float((box[2:] - box[:2]).max()) / max(width, height)
    return next(name for limit, name in SIZES if part < limit)


@dataclass(frozen=True)
class _TrueHand:
    groups: dict[str, str]
    is_hit: bool
    side_is_right: bool
    distances: np.ndarray


@dataclass
class Tally:
    """Figures of one method over all images that have a truth.

    Attributes:
        name: of the method, as it is shown.
    """

    name: str
    metrics: Metrics = field(default_factory=lambda: Metrics(0.0))
    _hands: list[_TrueHand] = field(default_factory=list)
    _finds: list[tuple[float, bool]] = field(default_factory=list)

    def add(self, found: Hands, truth: TrueHands, judged: Judged, source: str) -> None:
        """Count one image.

        Args:
            found: hands of this method.
            truth: of the image.
            judged: what `judge` returned for the two.
            source: where the image is from, a group of its own.
        """
        self.metrics.update(found, truth)
        for score, true_hand in zip(found.score, judged.true_hand, strict=True):
            if true_hand != -2:
                self._finds.append((float(score), bool(true_hand >= 0)))
        found_as = {int(j): i for i, j in enumerate(judged.true_hand) if j >= 0}
        for j in np.flatnonzero(~truth.ignored):
            groups = {
                "side": SIDES[int(truth.is_right[j])],
                "size": size_group(truth.box[j], truth.width, truth.height),
                "source": source,
            }
            i = found_as.get(int(j))
            distances = np.zeros(0)
            if i is not None:
                distances = keypoint_distances(
                    found.keypoints_2d[i], truth.keypoints_2d[j], truth.box[j]
                )[truth.keypoints_counted[j]]
            is_right_side = i is not None and bool(judged.side_is_right[i])
            self._hands.append(_TrueHand(groups, i is not None, is_right_side, distances))

    def summary(self) -> dict[str, Any]:
        """Return the figures of `Metrics`."""
        return self.metrics.summary()

    def table(self, kind: str) -> dict[str, dict[str, float | int | None]]:
        """Return figures by group of a kind: side, size or source."""
        rows: dict[str, dict[str, float | int | None]] = {}
        for name in in_order(kind, {hand.groups[kind] for hand in self._hands}):
            hands = [hand for hand in self._hands if hand.groups[kind] == name]
            hits = [hand for hand in hands if hand.is_hit]
            distances = np.concatenate([hand.distances for hand in hits] or [np.zeros(0)])
            rows[name] = {
                "hands": len(hands),
                "recall": len(hits) / len(hands),
                "side": sum(hand.side_is_right for hand in hits) / len(hits) if hits else None,
                "pck@0.1": _share(distances, 0.1),
                "pck@0.2": _share(distances, 0.2),
            }
        return rows

    def pck_curve(self) -> list[list[float]]:
        """Return [error, share of the keypoints of found hands within it] for `PCK_LIMITS`."""
        distances = np.concatenate([hand.distances for hand in self._hands] or [np.zeros(0)])
        if not len(distances):
            return []
        ordered = np.sort(distances)
        shares = np.searchsorted(ordered, PCK_LIMITS, side="right") / len(ordered)
        return np.stack([PCK_LIMITS, shares], axis=1).round(4).tolist()

    def precision_recall_curve(self, most: int = 200) -> list[list[float]]:
        """Return [recall, precision] with the surest 1 … D finds, at most so many points."""
        total = len(self._hands)
        if not self._finds or not total:
            return []
        score, correct = (np.array(column) for column in zip(*self._finds, strict=True))
        order = np.argsort(-score, kind="stable")
        hits = np.cumsum(correct[order])
        curve = np.stack([hits / total, hits / np.arange(1, len(hits) + 1)], axis=1)
        # Finds of one score come together: no threshold parts them.
        last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
        chosen = last[np.linspace(0, len(last) - 1, min(most, len(last))).round().astype(int)]
        return curve[chosen].round(4).tolist()


def _share(distances: np.ndarray, limit: float) -> float | None:
    return float((distances <= limit).mean()) if len(distances) else None


def in_order(kind: str, names: set[str]) -> list[str]:
    """Return groups of a kind (side, size or source) in the order in which they are shown."""
    known = {"side": list(SIDES), "size": [name for _, name in SIZES]}.get(kind)
    return [name for name in known if name in names] if known else sorted(names)


def histogram(values: list[float], low: float, high: float, bins: int) -> list[list[float]]:
    """Return [start, end, count] of equal bins; what lies outside counts in the outermost."""
    edges = np.linspace(low, high, bins + 1)
    counts, _ = np.histogram(np.clip(values, low, high) if values else [], edges)
    return [
        [round(float(start), 6), round(float(end), 6), int(count)]
        for start, end, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]

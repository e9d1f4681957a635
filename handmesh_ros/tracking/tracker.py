"""Multi-object tracking of hands: detections to tracks with identity, smoothing and state."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from handmesh_ros.common.renamed import renamed_attribute, renamed_call
from handmesh_ros.hand.hands import Hands, State
from handmesh_ros.teleop.gestures import PINCH_RATIO, GestureMemory
from handmesh_ros.tracking.association import associate
from handmesh_ros.tracking.observation import Observation
from handmesh_ros.tracking.occlusion import PATIENCE, hide
from handmesh_ros.tracking.tracks import Filters, Tracks

if TYPE_CHECKING:
    import pyarrow

BACKWARD_SLACK_S = 0.2
"""Images may overtake each other by this much; a clock that goes back further was reset."""

FORWARD_JUMP_S = 10.0
"""A clock that goes forward by more between two images has jumped."""

SLOWEST_STEP_S = 1.0
"""A hand of the previous image is tracked over a step of this length, however short
`lost_after_s` is: a low frame rate must not end tracks."""

LONGEST_FOLLOWED_S = 0.3
"""Longest step between two images over which positions are predicted."""

HITS_TO_PREDICT = 3
"""Minimum number of observations for a predicted motion; with fewer, an unseen hand is lost."""


@dataclass(frozen=True)
class TrackedHands:
    """The tracks at the time of one image: observed ones, best score first, then the others.

    Attributes:
        hands: N, smoothed; predicted by the motion where not observed, the last state where lost.
        track_id: (N,) uint32, from 1 on; the same hand keeps it, none is given twice.
        state: (N,) uint8, values of `State`.
        age_s: (N,) float32, seconds since each hand was last seen; 0 when tracked.
        observation: (N,) int64, index of the associated detection; -1 where there is none.
        gesture: (N,) uint8, values of `teleop.gestures.Gesture`.
        gesture_score: (N,) float32 in [0, 1], how clear the gesture is; fades while a hand is
            not seen.
    """

    hands: Hands
    track_id: np.ndarray
    state: np.ndarray
    age_s: np.ndarray
    observation: np.ndarray
    gesture: np.ndarray
    gesture_score: np.ndarray

    measurement = renamed_attribute("measurement", "observation")

    @classmethod
    def untracked(cls, hands: Hands, *, pinch_ratio: float = PINCH_RATIO) -> TrackedHands:
        """Return detections as they are, all with id 0: not tracked."""
        count = len(hands)
        gesture, gesture_score = GestureMemory().update(
            hands.joints, np.arange(count), np.ones(count, bool), 0.0, pinch_ratio
        )
        return cls(
            hands=hands,
            track_id=np.zeros(count, np.uint32),
            state=np.zeros(count, np.uint8),
            age_s=np.zeros(count, np.float32),
            observation=np.arange(count),
            gesture=gesture,
            gesture_score=gesture_score.astype(np.float32),
        )

    def to_table(self, *, with_mesh: bool = False, **more: Any) -> pyarrow.Table:
        """Return the hands as an Arrow table with their identity; see `Hands.to_table`.

        Raises:
            HandmeshError: pyarrow is missing, or a further column does not exist or does not fit.
        """
        states = [State(value).name.lower() for value in self.state]
        more |= {"track_id": self.track_id, "state": states, "age_s": self.age_s}
        return self.hands.to_table(with_mesh=with_mesh, **more)

    def joined(self, others: TrackedHands) -> TrackedHands:
        """Return these hands and after them the others."""
        columns = {
            name: np.concatenate([values, getattr(others, name)])
            for name, values in vars(self).items()
            if name != "hands"
        }
        return TrackedHands(hands=Hands.joined([self.hands, others.hands]), **columns)

    def observed(self, hands: Hands) -> TrackedHands:
        """Return the associated detections, unsmoothed, with their ids.

        Args:
            hands: the detections given to the tracker.
        """
        rows = np.flatnonzero(self.observation >= 0)
        return TrackedHands(
            hands=hands[self.observation[rows]],
            track_id=self.track_id[rows],
            state=self.state[rows],
            age_s=self.age_s[rows],
            observation=self.observation[rows],
            gesture=self.gesture[rows],
            gesture_score=self.gesture_score[rows],
        )

    def __len__(self) -> int:
        return len(self.track_id)


class Tracker:
    """Gives the hands of an image stream identity, smoothness and state.

    Args:
        say: receives one sentence when the clock jumps; None logs it.
    """

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self._say = say or logging.getLogger(__name__).warning
        self._tracks: Tracks | None = None
        self._gestures = GestureMemory()
        self._next_id = 1
        self._stamp_s: float | None = None
        self._is_ended = False

    def update(
        self,
        hands: Hands,
        stamp_s: float,
        *,
        filters: Filters | None = None,
        lost_after_s: float = 0.7,
        ahead_s: float = 0.0,
        max_hands: int = 0,
        pinch_ratio: float = PINCH_RATIO,
    ) -> TrackedHands:
        """Associate the detections of the next image with tracks and filter them.

        Args:
            hands: the detections.
            stamp_s: capture time of the image.
            filters: smoothing; None takes the defaults, `Filters.off()` none.
            lost_after_s: a hand unseen for longer is reported lost, once, and its id ends; one
                that another hand hides is waited for longer (`occlusion.PATIENCE`).
            ahead_s: carry all poses on by this much beyond the image.
            max_hands: follow at most this many hands; the others are not reported, or lost at
                once. Those that are followed already come first, the oldest before all, so that
                two hands do not take turns; then the best. 0 follows all.
            pinch_ratio: as of `teleop.gestures.clarity`.
        """
        tracks, layout = self._tracks, (hands.vertices.shape[1], hands.shape.shape[1])
        if tracks is None or tracks.layout != layout:
            tracks = self._tracks = Tracks(*layout)
        step_s, jumped = self._advance(stamp_s)
        seen, gap_s = Observation.of(hands), tracks.age_s + step_s
        if jumped:
            rows = columns = np.zeros(0, np.intp)
        else:
            rows, columns = associate(tracks, seen, gap_s)
            # Also when no image came for so long: who is seen then may be anybody.
            patience_s = np.maximum(_patience_s(tracks, lost_after_s), lost_after_s)
            waited_for = gap_s <= np.where(
                tracks.age_s > 0.0, patience_s, np.maximum(patience_s, SLOWEST_STEP_S)
            )
            rows, columns = rows[waited_for[rows]], columns[waited_for[rows]]
        tracks.age_s = gap_s
        if len(rows):
            tracks.update(rows, seen[columns], gap_s[rows], filters or Filters())
        observation = np.full(len(tracks), -1)
        observation[rows] = columns
        hide(tracks, observation >= 0)
        patience_s = _patience_s(tracks, lost_after_s)
        lost = (observation < 0) & ((tracks.age_s > patience_s) | jumped)
        room = max_hands or len(tracks) + len(hands)
        lost[np.flatnonzero(~lost)[room:]] = True
        observation[lost] = -1

        is_new = np.ones(len(hands), bool)
        is_new[columns] = False
        new = np.flatnonzero(is_new)[: max(room - int((~lost).sum()), 0)]
        if len(new):
            tracks.append(seen[new], np.arange(self._next_id, self._next_id + len(new)))
            self._next_id += len(new)
            observation = np.concatenate([observation, new])
            lost = np.concatenate([lost, np.zeros(len(new), bool)])
            patience_s = np.concatenate([patience_s, np.zeros(len(new))])
        result = self._report(tracks, observation, lost, patience_s, ahead_s, pinch_ratio)
        if lost.any():
            tracks.keep(~lost)
        return result

    __call__ = renamed_call("update")

    def expected(self, stamp_s: float) -> np.ndarray:
        """Return the (M, 21, 2) keypoints of the hands last seen, carried on to the next image.

        Args:
            stamp_s: its capture time; too long after the last one, nothing is expected.
        """
        nothing = np.zeros((0, 21, 2), np.float32)
        if self._tracks is None or self._stamp_s is None or self._is_ended:
            return nothing
        step_s = stamp_s - self._stamp_s
        if not 0.0 <= step_s <= LONGEST_FOLLOWED_S:
            return nothing
        rows = np.flatnonzero(self._tracks.age_s == 0.0)
        return self._tracks.keypoints(np.full(len(self._tracks), step_s))[rows]

    def reset(self) -> None:
        """End all tracks: with the next image they are reported lost."""
        self._is_ended = True

    def _advance(self, stamp_s: float) -> tuple[float, bool]:
        """Return the time since the previous image and whether this one is no continuation."""
        previous_s, self._stamp_s = self._stamp_s, stamp_s
        is_ended, self._is_ended = self._is_ended, False
        if previous_s is None:
            return 0.0, False
        step_s = stamp_s - previous_s
        jumped = not -BACKWARD_SLACK_S <= step_s <= FORWARD_JUMP_S
        if is_ended:
            return max(step_s, 0.0), True
        if jumped:
            direction, cause = (
                ("forward", "no images came for so long")
                if step_s > 0
                else ("back", "a bag that starts again")
            )
            self._say(
                f"The image stamps jumped {direction} by {round(abs(step_s), 1):.12g} s ({cause}, "
                "or another clock): all hands are new."
            )
        return max(step_s, 0.0), jumped

    def _report(
        self,
        tracks: Tracks,
        observation: np.ndarray,
        lost: np.ndarray,
        patience_s: np.ndarray,
        ahead_s: float,
        pinch_ratio: float,
    ) -> TrackedHands:
        state = np.where(lost, _LOST, np.where(observation < 0, _PREDICTED, 0)).astype(np.uint8)
        fading = np.maximum(1.0 - tracks.age_s / np.maximum(patience_s, 1e-3), 0.0)
        fading = np.where(lost, 0.0, fading)
        score = tracks.score * fading
        hands = tracks.poses(np.where(lost, 0.0, tracks.age_s + ahead_s), score)
        assert self._stamp_s is not None
        gesture, clarity = self._gestures.update(
            hands.joints, tracks.id, observation >= 0, self._stamp_s, pinch_ratio
        )
        order = np.lexsort((-score, state))
        return TrackedHands(
            hands=hands[order],
            track_id=tracks.id[order].astype(np.uint32),
            state=state[order],
            age_s=tracks.age_s[order].astype(np.float32),
            observation=observation[order],
            gesture=gesture[order],
            gesture_score=(clarity * fading)[order].astype(np.float32),
        )


# Faster to compare with than members of an enumeration, which NumPy reads slowly.
_PREDICTED, _LOST = State.PREDICTED.value, State.LOST.value


def _patience_s(tracks: Tracks, lost_after_s: float) -> np.ndarray:
    """Return (M,) for how long each hand is waited for."""
    wait_s = np.where(tracks.hidden_by > 0, PATIENCE * lost_after_s, lost_after_s)
    return np.where(tracks.hits < HITS_TO_PREDICT, 0.0, wait_s)

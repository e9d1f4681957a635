"""Selection of the hand that a robot follows: one side, and the same hand while it is tracked."""

from __future__ import annotations

from typing import Any

from handmesh_ros.common.renamed import renamed_call
from handmesh_ros.hand.hands import State


class HandFollower:
    """Follows one hand of one side.

    Args:
        side: LEFT or RIGHT.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._track_id = 0

    def follow(self, message: Any) -> Any | None:
        """Return the hand that is followed, or None while it is not seen.

        A new one is chosen, of those seen that of the best score, when the old one is gone.

        Args:
            message: HandMeshArray, or anything with its fields.
        """
        mine = [hand for hand in message.hands if hand.handedness == self._side]
        alive = [hand for hand in mine if hand.state != State.LOST]
        followed = [hand for hand in alive if hand.track_id == self._track_id]
        if not followed:
            seen = [hand for hand in alive if hand.state == State.TRACKED]
            followed = sorted(seen, key=lambda hand: -hand.score)
        if not followed:
            self._track_id = 0
            return None
        self._track_id = followed[0].track_id
        return followed[0] if followed[0].state == State.TRACKED else None

    __call__ = renamed_call("follow")

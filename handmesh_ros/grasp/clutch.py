"""Motion of a hand relative to the moment when a clutch engaged, as teleoperation uses it."""

from __future__ import annotations

import numpy as np


class Clutch:
    """A pose that follows a hand while the clutch is engaged and rests while it is not.

    Engaging anew goes on from where the pose rests, as a mouse does that was lifted: no jump, and
    any distance can be covered in several strokes.

    Args:
        base_rotation: (3, 3) from the frame of the hand's poses (the camera's) to that of the
            target pose (the robot's base).
        scale: target motion over hand motion.
        position: (3,) of the target pose at the beginning, metres.
        rotation: (3, 3) of the target pose at the beginning.

    Attributes:
        position: (3,) of the target pose now, metres.
        rotation: (3, 3) of the target pose now.
        is_engaged: whether it follows.
    """

    def __init__(
        self,
        base_rotation: np.ndarray | None = None,
        scale: float = 1.0,
        position: np.ndarray | None = None,
        rotation: np.ndarray | None = None,
    ) -> None:
        self._base = np.eye(3) if base_rotation is None else np.asarray(base_rotation, float)
        self._scale = scale
        self.position = np.zeros(3) if position is None else np.asarray(position, float)
        self.rotation = np.eye(3) if rotation is None else np.asarray(rotation, float)
        self.is_engaged = False

    def release(self) -> None:
        """Rest."""
        self.is_engaged = False

    def follow(self, position: np.ndarray, rotation: np.ndarray) -> None:
        """Engage if it is not engaged; move the target pose as the hand has moved since then.

        Args:
            position: (3,) of the hand, metres.
            rotation: (3, 3) of the hand.
        """
        position, rotation = np.asarray(position, float), np.asarray(rotation, float)
        if not self.is_engaged:
            self.is_engaged = True
            self._hand = position, rotation
            self._anchor = self.position, self.rotation
        moved = self._base @ (position - self._hand[0])
        turned = self._base @ rotation @ self._hand[1].T @ self._base.T
        self.position = self._anchor[0] + self._scale * moved
        self.rotation = turned @ self._anchor[1]

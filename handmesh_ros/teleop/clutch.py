"""Motion of a hand relative to the moment when a clutch engaged, as teleoperation uses it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StepLimits:
    """What is believed of a hand from one image to the next.

    Reaching for something takes the wrist to 1 m/s, in haste to 2 m/s, and a forearm turns at less
    than 15 rad/s; what is faster is another hand or a mistake. In 0.25 s a hand has come so far
    that a robot which caught up with it would jump, however slow it was.

    Attributes:
        speed_m_s: of the wrist.
        turn_rad_s: of the wrist.
        gap_s: between two images.
    """

    speed_m_s: float = 3.0
    turn_rad_s: float = 15.0
    gap_s: float = 0.25

    def find_problem(self, elapsed_s: float, moved_m: float, turned_rad: float) -> str | None:
        """Return why a step is not believed, as a clause; None where it is.

        Args:
            elapsed_s: from one image to the next.
            moved_m: by the wrist meanwhile.
            turned_rad: by the wrist meanwhile.
        """
        if elapsed_s < 0:
            return f"stamps went back by {-elapsed_s:.3f} s"
        if elapsed_s > self.gap_s:
            return f"it was not seen for {elapsed_s:.3f} s, more than {self.gap_s:g} s"
        if moved_m > self.speed_m_s * elapsed_s:
            step = f"{moved_m:.3f} m in {elapsed_s:.3f} s"
            return f"its wrist moved {step}, faster than {self.speed_m_s:g} m/s"
        if turned_rad > self.turn_rad_s * elapsed_s:
            step = f"{turned_rad:.2f} rad in {elapsed_s:.3f} s"
            return f"its wrist turned {step}, faster than {self.turn_rad_s:g} rad/s"
        return None


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
        limits: a step beyond them is not followed.

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
        limits: StepLimits | None = None,
    ) -> None:
        self._base = np.eye(3) if base_rotation is None else np.asarray(base_rotation, float)
        self._scale = scale
        self._limits = limits or StepLimits()
        self.position = np.zeros(3) if position is None else np.asarray(position, float)
        self.rotation = np.eye(3) if rotation is None else np.asarray(rotation, float)
        self.is_engaged = False
        self._last = 0.0, np.zeros(3), np.eye(3)

    def release(self) -> None:
        """Rest."""
        self.is_engaged = False

    def follow(self, position: np.ndarray, rotation: np.ndarray, time_s: float) -> str | None:
        """Engage if it is not engaged; move the target pose as the hand has moved since then.

        After a step beyond the limits it lets go of the hand and engages anew where that is now:
        the target pose rests.

        Args:
            position: (3,) of the hand, metres.
            rotation: (3, 3) of the hand.
            time_s: when the hand was seen there, such as the image's stamp.

        Returns:
            Why it let go, as a clause; None where it did not.
        """
        position, rotation = np.asarray(position, float), np.asarray(rotation, float)
        problem = None
        if self.is_engaged:
            last_s, last_position, last_rotation = self._last
            problem = self._limits.find_problem(
                time_s - last_s,
                float(np.linalg.norm(position - last_position)),
                _angle(rotation @ last_rotation.T),
            )
        if not self.is_engaged or problem is not None:
            self.is_engaged = True
            self._hand = position, rotation
            self._anchor = self.position, self.rotation
        self._last = time_s, position, rotation
        moved = self._base @ (position - self._hand[0])
        turned = self._base @ rotation @ self._hand[1].T @ self._base.T
        self.position = self._anchor[0] + self._scale * moved
        self.rotation = turned @ self._anchor[1]
        return problem


def _angle(rotation: np.ndarray) -> float:
    """Return the angle of a rotation matrix, radians."""
    return float(np.arccos(np.clip((np.trace(rotation) - 1.0) / 2.0, -1.0, 1.0)))

"""A hand as a stream of OpenXR joints that never falls back to a straight hand.

Isaac Teleop's retargeters (`dex_hand_retargeter.py`, 1.5) answer a missing hand, or an invalid
wrist, with zero joint angles: the robot's fingers open, whatever they hold. What is seen by a
camera is hidden now and then, so a hand that was seen once is held until it is seen again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from handmesh_ros.hand.conventions import RIGHT
from handmesh_ros.teleop.openxr import CAMERA_TO_OPENXR, OpenXRHands, to_openxr


@dataclass(frozen=True)
class StreamedHand:
    """One hand of a stream.

    Attributes:
        joints: (26, …) of the hand; `tracked` is False for all of a hand that is held.
        age_s: seconds since it was seen; 0 while it is.
    """

    joints: OpenXRHands
    age_s: float

    def hand_input(self) -> dict[str, np.ndarray]:
        """Return the fields of Isaac Teleop's `HandInput`, its `HandInputIndex` in lower case.

        `group[HandInputIndex[name.upper()]] = value` for each fills a `TensorGroup(HandInput())`
        of `isaacteleop.retargeting_engine` 1.5.

        Returns:
            joint_positions (26, 3), joint_orientations (26, 4) x, y, z, w and joint_radii (26,)
            float32, joint_valid (26,) uint8.
        """
        return {
            "joint_positions": self.joints.position.astype(np.float32),
            "joint_orientations": self.joints.orientation.astype(np.float32),
            "joint_radii": self.joints.radius.astype(np.float32),
            "joint_valid": self.joints.valid.astype(np.uint8),
        }


class OpenXRStream:
    """Turns a hand that is seen now and then into one that is always there once it was seen.

    Args:
        side: LEFT or RIGHT.
        hold_s: how long an unseen hand is held, seconds of the stamps; after that it is missing,
            and a robot that opens its hand then lets fall what it holds.
        base_rotation: (3, 3) from the frame of the keypoints to the base space.
    """

    def __init__(
        self,
        side: int,
        *,
        hold_s: float = math.inf,
        base_rotation: np.ndarray = CAMERA_TO_OPENXR,
    ) -> None:
        self._is_right = side == RIGHT
        self._hold_s, self._base_rotation = hold_s, base_rotation
        self._last: OpenXRHands | None = None
        self._seen_s = -math.inf

    def __call__(self, joints: np.ndarray | None, stamp_s: float) -> StreamedHand | None:
        """Return the hand at the time of an image.

        Args:
            joints: (21, 3) keypoints of the hand that is followed, metres, such as those that
                `HandFollower` chose; None while it is not seen. Numbers that are not finite count
                as not seen.
            stamp_s: of the image, seconds.

        Returns:
            The hand as it was seen last; None until it was seen, and after `hold_s`.
        """
        if joints is not None and np.isfinite(joints).all():
            self._last = to_openxr(joints, self._is_right, self._base_rotation)
            self._seen_s = stamp_s
            return StreamedHand(self._last, 0.0)
        age_s = max(stamp_s - self._seen_s, 0.0)  # 0 where a clock went back
        if self._last is None or age_s > self._hold_s:
            return None
        held = replace(self._last, tracked=np.zeros(26, bool))
        return StreamedHand(held, age_s)

    def reset(self) -> None:
        """The next image is no continuation: no hand was seen before it."""
        self._last = None

"""Wrists and fingertips as transforms for /tf, under names that stay while a hand does."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import TransformStamped
from std_msgs.msg import Header

from handmesh_ros.hand.conventions import (
    FINGERTIP_KEYPOINTS,
    KEYPOINT_NAMES,
    RIGHT,
    SIDES,
    WRIST,
)
from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.rotations import quaternions
from handmesh_ros.teleop.geometry import bone_frames

TIP_NAMES = tuple(KEYPOINT_NAMES[keypoint] for keypoint in FINGERTIP_KEYPOINTS)


class TfFrameNames:
    """Names hands `right_hand`, `left_hand`, and while these are taken `right_hand_2` and so on.

    Frames of a tree are never removed, so they are not named by track ids, which never return.
    """

    def __init__(self) -> None:
        self._slots: dict[tuple[int, int], int] = {}

    def assign(self, track_id: np.ndarray, sides: np.ndarray) -> list[str]:
        """Return a name for each hand; a track keeps its name until it is not among them.

        Args:
            track_id: (N,) ids; 0 for hands that are not tracked.
            sides: (N,) LEFT or RIGHT.
        """
        keys = list(zip(sides.tolist(), track_id.tolist(), strict=True))
        slots = {key: self._slots[key] for key in keys if key in self._slots}
        names = []
        for side, identity in keys:
            slot = slots.get((side, identity)) if identity else None
            if slot is None:
                taken = {number for (taken_side, _), number in slots.items() if taken_side == side}
                slot = next(number for number in range(1, len(taken) + 2) if number not in taken)
                slots[side, identity or -slot] = slot
            names.append(f"{SIDES[side]}_hand" + (f"_{slot}" if slot > 1 else ""))
        self._slots = {key: slot for key, slot in slots.items() if key[1] > 0}
        return names


def hand_transforms(hands: Hands, names: list[str], header: Header) -> list[TransformStamped]:
    """Return the frames of wrists, in the camera frame, and of fingertips, in their wrist's.

    Wrist NAME has the operator frame. Fingertip NAME_index_tip has its z axis along the last bone
    outward and x out of the finger's palmar side.

    Args:
        hands: of one image.
        names: one for each hand.
        header: of the image: stamp and camera frame.
    """
    if not len(hands):
        return []
    frames = bone_frames(hands.joints, hands.handedness == RIGHT)
    wrist = frames[:, WRIST]
    away = hands.joints[:, FINGERTIP_KEYPOINTS] - hands.joints[:, WRIST, None]
    turns = quaternions(wrist[:, None].swapaxes(-1, -2) @ frames[:, FINGERTIP_KEYPOINTS])
    positions, orientations = away @ wrist, quaternions(wrist)
    transforms = []
    for index, name in enumerate(names):
        place = hands.joints[index, WRIST]
        transforms.append(
            _transform(header.stamp, header.frame_id, name, place, orientations[index])
        )
        for tip, tip_name in enumerate(TIP_NAMES):
            child = f"{name}_{tip_name}"
            place, turn = positions[index, tip], turns[index, tip]
            transforms.append(_transform(header.stamp, name, child, place, turn))
    return transforms


def _transform(
    stamp: object, parent: str, child: str, position: np.ndarray, orientation: np.ndarray
) -> TransformStamped:
    stamped = TransformStamped(child_frame_id=child)
    stamped.header.stamp, stamped.header.frame_id = stamp, parent
    to, turn = stamped.transform.translation, stamped.transform.rotation
    to.x, to.y, to.z = position.tolist()
    turn.x, turn.y, turn.z, turn.w = orientation.tolist()
    return stamped

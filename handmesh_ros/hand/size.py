"""The size of a hand, and what follows from correcting it: its distance."""

from __future__ import annotations

import numpy as np

from handmesh_ros.hand.conventions import MIDDLE_MCP, RIGHT, WRIST
from handmesh_ros.hand.hands import Hands, ScaleSource

SHORTEST_M, LONGEST_M = 0.08, 0.3
"""Of a human hand, wrist to middle fingertip, children included."""

LENGTH_CHAIN = np.array([WRIST, MIDDLE_MCP, MIDDLE_MCP + 1, MIDDLE_MCP + 2, MIDDLE_MCP + 3])
"""Keypoints from the wrist to the middle fingertip."""


def hand_length(joints: np.ndarray) -> np.ndarray:
    """Return the length of hands along the bones from the wrist to the middle fingertip.

    Bending a joint does not change it, so it belongs to the person and not to the pose.

    Args:
        joints: (..., 21, 3) keypoints, metres.

    Returns:
        (...) metres.
    """
    chain = np.asarray(joints).take(LENGTH_CHAIN, -2)
    bones = chain[..., 1:, :] - chain[..., :-1, :]
    return np.sqrt(np.einsum("...bd,...bd->...b", bones, bones)).sum(-1)


def rescaled(hands: Hands, factor: np.ndarray, source: np.ndarray) -> Hands:
    """Return hands of another metric size that look the same in the image.

    Size and distance are scaled together about the camera, so every projection stays where it is.

    Args:
        hands: of one image.
        factor: (N,) new size over old size.
        source: (N,) values of `ScaleSource`.
    """
    factor = np.asarray(factor, np.float32)
    return hands.replace(
        joints=hands.joints * factor[:, None, None],
        vertices=hands.vertices * factor[:, None, None],
        translation=hands.translation * factor[:, None],
        scale_source=np.asarray(source, np.uint8),
    )


def calibrated(hands: Hands, left_m: float, right_m: float) -> Hands:
    """Return hands in the sizes that were measured for their owner.

    Args:
        hands: of one image.
        left_m: `hand_length` of left hands, metres; 0 where it is not known.
        right_m: the same of right hands.
    """
    if not left_m and not right_m:
        return hands
    known = np.where(hands.handedness == RIGHT, right_m, left_m)
    length = np.maximum(hand_length(hands.joints), 1e-6)
    factor = np.where(known > 0, known / length, 1.0)
    source = np.where(known > 0, ScaleSource.CALIBRATED, hands.scale_source)
    return rescaled(hands, factor, source)

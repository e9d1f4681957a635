"""Hands as dex-retargeting wants them, and robot joints by their names.

dex-retargeting estimates the wrist's frame from three keypoints of MediaPipe (wrist, index MCP,
middle MCP) and turns it with one of its matrices `OPERATOR2MANO`. The estimate is that of
`SingleHandDetector.estimate_frame_from_hand_points` in its example `vector_retargeting`; three
points lie in one plane, so that its fit of a plane has this closed form. It is not
`conventions.operator_frame`, which messages carry: that one goes by the whole row of knuckles,
which a hand bends and a palm turns less. The two share +Z and differ by a roll about it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import INDEX_MCP, MIDDLE_MCP, WRIST
from handmesh_ros.hand.vectors import cross, lengths

_SMALLEST_M = 1e-9


def dex_retargeting_frame(joints: np.ndarray, is_right: np.ndarray | bool) -> np.ndarray:
    """Return the frame of the wrist that dex-retargeting's settings are made for.

    +Z points from the wrist to the middle MCP, +Y from the middle to the index MCP on a right hand
    and the other way on a left one, +X out of the palm on both sides.

    Args:
        joints: (..., 21, 3) keypoints, metres, any frame.
        is_right: (...) True for right hands.

    Returns:
        (..., 3, 3) rotations whose columns are the axes X, Y, Z in the frame of `joints`. Where
        wrist, index MCP and middle MCP lie in one line, the identity.
    """
    joints = np.asarray(joints, np.float64)
    right = np.asarray(is_right, bool)[..., None]
    z_axis, z_norm = _normalized(joints[..., MIDDLE_MCP, :] - joints[..., WRIST, :])
    across = joints[..., INDEX_MCP, :] - joints[..., MIDDLE_MCP, :]
    across = np.where(right, across, -across)
    y_axis, y_norm = _normalized(across - (across * z_axis).sum(-1, keepdims=True) * z_axis)
    frame = np.stack([cross(y_axis, z_axis), y_axis, z_axis], axis=-1)
    degenerate = np.minimum(z_norm, y_norm)[..., None, None] < _SMALLEST_M
    return np.where(degenerate, np.eye(3), frame)


def dex_retargeting_points(joints: np.ndarray, is_right: np.ndarray | bool) -> np.ndarray:
    """Return keypoints in the `dex_retargeting_frame` of their wrist: the library's `joint_pos`.

    Args:
        joints: (..., 21, 3) keypoints, metres, any frame.
        is_right: (...) True for right hands.

    Returns:
        (..., 21, 3) metres.
    """
    joints = np.asarray(joints, np.float64)
    return (joints - joints[..., [WRIST], :]) @ dex_retargeting_frame(joints, is_right)


def order_by_name(
    values: np.ndarray, names: Sequence[str], wanted: Sequence[str], *, prefix: str = ""
) -> np.ndarray:
    """Return the values of joints in the order of other software, by the joints' names.

    pinocchio, and with it dex-retargeting, orders joints depth first and the branches by name;
    MuJoCo keeps the order of the file.

    Args:
        values: (..., N), one a joint, such as angles in radians.
        names: N names of `values`, such as `SeqRetargeting.joint_names` or those of a JointState.
        wanted: M names in the order of the result.
        prefix: what `wanted` have in front of `names`, such as "robot0:".

    Returns:
        (..., M).

    Raises:
        HandmeshError: a joint has no value, or a name stands for two.
    """
    values = np.asarray(values)
    if values.shape[-1] != len(names):
        raise HandmeshError(
            f"There are {values.shape[-1]} joint values for {len(names)} names: give one a name."
        )
    places = {prefix + name: index for index, name in enumerate(names)}
    if len(places) != len(names):
        twice = sorted({name for name in names if list(names).count(name) > 1})
        raise HandmeshError(
            f"The joint names {', '.join(twice)} occur twice: give each joint a name of its own."
        )
    missing = [name for name in wanted if name not in places]
    if missing:
        raise HandmeshError(
            f"There is no value for the joints {', '.join(missing)}, only for "
            f"{', '.join(places)}: use one model of the robot on both sides."
        )
    return values[..., [places[name] for name in wanted]]


def _normalized(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (..., 3) vectors scaled to length one, or zero, and their (...) lengths."""
    norm = lengths(vectors, keepdims=True)
    return vectors / np.where(norm > 0, norm, 1.0), norm[..., 0]

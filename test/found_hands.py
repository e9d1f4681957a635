"""Images with flat hands of the bundled model, as `handmesh detect` hands them to its outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handmesh_ros.hand.conventions import KEYPOINT_FROM_MODEL_JOINT
from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.preprocess import intrinsics_from_fov
from handmesh_ros.media.sources import Source
from handmesh_ros.media.videos import MediaFrame
from handmesh_ros.visualization.draw import project
from handmesh_ros.visualization.outputs import Found

TEMPLATE = HandTemplate.bundled()
SIZE = (480, 640)
# Fingers (-x) up (-y), the back of the hand (+y) towards the camera (-z).
_UPRIGHT = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def flat_hands(*placed: tuple[bool, tuple[float, float, float]]) -> Hands:
    """Flat hands from (is_right, wrist in metres), with scores from 0.9 down."""
    count = len(placed)
    if not count:
        return Hands.empty()
    wrist = TEMPLATE.joint_template[0]
    tips = iter(TEMPLATE.template[TEMPLATE.fingertips])
    keypoints = np.array(
        [
            TEMPLATE.joint_template[joint] if joint >= 0 else next(tips)
            for joint in KEYPOINT_FROM_MODEL_JOINT
        ]
    )
    sides = np.array([[1.0 if is_right else -1.0, 1.0, 1.0] for is_right, _ in placed])[:, None]
    wrists = np.array([position for _, position in placed])[:, None]
    vertices = (((TEMPLATE.template - wrist) @ _UPRIGHT.T) * sides + wrists).astype(np.float32)
    joints = (((keypoints - wrist) @ _UPRIGHT.T) * sides + wrists).astype(np.float32)
    intrinsics = intrinsics_from_fov(*SIZE)
    pixels = project(vertices, intrinsics)
    return Hands(
        score=np.linspace(0.9, 0.5, count, dtype=np.float32),
        right_probability=np.array([0.05 + 0.9 * right for right, _ in placed], np.float32),
        box=np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1).astype(np.float32),
        keypoints_2d=project(joints, intrinsics).astype(np.float32),
        joints=joints,
        vertices=vertices,
        rotations=np.tile(np.eye(3, dtype=np.float32), (count, 16, 1, 1)),
        shape=np.zeros((count, 10), np.float32),
        translation=wrists[:, 0].astype(np.float32),
        colors=np.full((count, len(TEMPLATE.template), 3), 200 / 255, np.float32),
        scale_source=np.zeros(count, np.uint8),
    )


def found(
    hands: Hands,
    name: str = "photo.jpg",
    *,
    index: int | None = None,
    time_s: float | None = None,
    track_id: tuple[int, ...] | None = None,
) -> Found:
    """One grey image with these hands; a frame of a clip where it has a time."""
    image = np.full((*SIZE, 3), 128, np.uint8)
    return Found(
        source=Source(Path("in", name), Path(name)),
        frame=MediaFrame(image, index, time_s),
        hands=hands,
        track_id=np.array(track_id or [0] * len(hands), np.uint32),
        intrinsics=intrinsics_from_fov(*SIZE),
        template=TEMPLATE,
        latency_ms=12.5,
    )

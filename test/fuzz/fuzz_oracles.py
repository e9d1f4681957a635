"""What must hold whatever comes: the oracles that the targets of `make fuzz` share."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message

from handmesh_ros.hand.hands import Hands, ScaleSource
from handmesh_ros.hand.size import LONGEST_M, SHORTEST_M, hand_length
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.msg import HandMesh, HandMeshArray
from handmesh_ros.ros.pipeline import Result

LONGEST_SENTENCE = 1000


def check_sentence(text: object) -> None:
    """One sentence for people: what, where, what to do."""
    said = str(text)
    assert said == said.strip() and "\n" not in said, said
    assert said[-1] in ".?" and len(said) < LONGEST_SENTENCE, said
    assert "Traceback" not in said and not re.search(r"<\w+ object at|0x[0-9a-f]{8}", said), said


def check_intrinsics(intrinsics: np.ndarray, image_size: tuple[int, int]) -> None:
    """Those of a camera that there can be, for an image of this size."""
    size = np.array(image_size[::-1], float)
    assert np.isfinite(intrinsics).all(), intrinsics
    view = np.degrees(2.0 * np.arctan2(size, 2.0 * intrinsics[:2]))
    assert (view < 179.7).all() and (view > 0.001).all(), (intrinsics, image_size)
    assert 1 / 6.1 < intrinsics[0] / intrinsics[1] < 6.1, intrinsics


def check_hands(hands: Hands) -> None:
    """Finite, and where depth tells their size, that of a hand."""
    for values in (hands.joints, hands.vertices, hands.translation, hands.keypoints_2d):
        assert np.isfinite(values).all()
    lengths = hand_length(hands.joints)[hands.scale_source == ScaleSource.DEPTH]
    assert ((lengths >= 0.99 * SHORTEST_M) & (lengths <= 1.01 * LONGEST_M)).all(), lengths


def check_result(result: Result, sent: Any) -> HandMeshArray:
    """What goes out for an image is whole, finite, and keeps the image's header."""
    data = result.array.to_bytes(result.latency)
    array = deserialize_message(data, HandMeshArray)
    assert array.header == sent.header
    ids = [hand.track_id for hand in array.hands if hand.track_id]  # 0 without tracking
    assert len(set(ids)) == len(ids), ids
    check_intrinsics(np.array(array.intrinsics), result.detection.rgb.shape[:2])
    for hand in array.hands:
        numbers = (hand.keypoints_2d, hand.joints, hand.joint_rotations, hand.shape, hand.vertices)
        assert all(np.isfinite(each).all() for each in numbers)
        assert 0.0 <= hand.score <= 1.0 and 0.0 <= hand.handedness_score <= 1.0
        assert hand.state in (HandMesh.TRACKED, HandMesh.PREDICTED, HandMesh.LOST)
        assert np.isfinite(hand.age_s) and hand.age_s >= 0.0, hand.age_s
        assert np.isfinite(hand.wrist.covariance).all()
    return array


def make_hands(count: int, seed: int = 0) -> Hands:
    """Flat hands before the camera, right and left, each in a place of its own."""
    random = np.random.default_rng(seed)
    template = HandTemplate.bundled()
    flat = template.template[:, [0, 2, 1]] + [0.08, 0.0, 0.6]
    places = np.array([[0.22 * (index - 1), 0.0, 0.02 * index] for index in range(count)])
    places = places.reshape(count, 1, 3) + random.normal(0.0, 0.003, (count, 1, 3))
    joints = np.random.default_rng(7).normal([0.0, 0.0, 0.6], 0.05, (1, 21, 3))
    joints = joints * (0.19 / hand_length(joints))[:, None, None]
    joints = (joints + places).astype(np.float32)
    keypoints = joints[..., :2] / joints[..., 2:] * 60.0 + [31.5, 23.5]
    box = np.concatenate([keypoints.min(1), keypoints.max(1)], 1)
    return Hands(
        score=np.full(count, 0.9, np.float32),
        right_probability=np.array([0.95, 0.05] * count, np.float32)[:count],
        box=box.astype(np.float32),
        keypoints_2d=keypoints.astype(np.float32),
        joints=joints,
        vertices=(flat + places).astype(np.float32),
        rotations=np.tile(np.eye(3, dtype=np.float32), (count, 16, 1, 1)),
        shape=np.zeros((count, 10), np.float32),
        translation=joints[:, 0].copy(),
        colors=np.full((count, len(flat), 3), 0.5, np.float32),
        scale_source=np.zeros(count, np.uint8),
    )


class Finder:
    """A network's place: finds the hands that it is told."""

    model_id = "fuzz"
    timings = SimpleNamespace(preprocess_ms=0.0, inference_ms=0.0, decode_ms=0.0)
    score_threshold: float | None = None

    def __init__(self) -> None:
        vertices = HandTemplate.bundled().vertex_count
        hand_model = SimpleNamespace(vertices=vertices)
        self.backend = SimpleNamespace(
            sidecar=SimpleNamespace(score_threshold=0.5, hand_model=hand_model)
        )
        self.hands = make_hands(2)

    def detect(self, rgb: np.ndarray, intrinsics: np.ndarray) -> Hands:
        """Check what a network would be given, and return the hands."""
        assert rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3
        check_intrinsics(np.asarray(intrinsics), rgb.shape[:2])
        return self.hands

    def close(self) -> None:
        """Do nothing."""

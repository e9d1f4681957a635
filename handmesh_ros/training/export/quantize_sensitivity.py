"""How far a changed graph's hands are from the original's, on average and relative to a hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnxruntime

Feed = dict[str, np.ndarray]
"""The graph's inputs by name, as `backend.input_shapes` says."""

SAME_HAND = 0.5
"""Hands whose centres are nearer than this share of a hand's size are the same."""

_OUTPUTS = ("score", "centre", "joints_2d", "joints", "translation")


@dataclass(frozen=True)
class Shift:
    """Means over the original's hands.

    Attributes:
        found_again: share of them, in [0, 1].
        keypoints: distance in the image, as a share of the hand's larger extent there; a hand
            that is not found again counts 1.
        joints_mm: distance of joints relative to the wrist, of those found again.
    """

    found_again: float
    keypoints: float
    joints_mm: float

    def __str__(self) -> str:
        return (
            f"{self.found_again:.0%} of the hands found again, keypoints moved by "
            f"{self.keypoints:.1%} of the hand's size and joints by {self.joints_mm:.1f} mm on "
            f"average"
        )


def outputs_of(graph: bytes, feeds: list[Feed]) -> list[dict[str, np.ndarray]]:
    """Run a graph with ONNX Runtime on the CPU and return what `shift` compares.

    Int8 is computed as float32 between its Q/DQ pairs: the same on every CPU, whereas int8
    instructions before VNNI saturate.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return [dict(zip(_OUTPUTS, session.run(_OUTPUTS, feed), strict=True)) for feed in feeds]


def shift(
    found: list[dict[str, np.ndarray]],
    expected: list[dict[str, np.ndarray]],
    score_threshold: float,
) -> Shift:
    """Compare two graphs' outputs on the same images.

    Args:
        found: of the changed graph.
        expected: of the original one; its hands above `score_threshold` count, and the best of
            each image always does.
        score_threshold: of the model.
    """
    keypoints, joints = [], []
    for ours, theirs in zip(found, expected, strict=True):
        lowest = min(score_threshold, float(theirs["score"].max()))
        for slot in np.flatnonzero(theirs["score"] >= lowest):
            points = theirs["joints_2d"][slot]
            size = max(float(np.ptp(points, axis=0).max()), 1e-6)
            distance = np.linalg.norm(ours["centre"] - theirs["centre"][slot], axis=1)
            other = int(distance.argmin())
            if not distance[other] < SAME_HAND * size:
                keypoints.append(1.0)
                continue
            gap = np.linalg.norm(ours["joints_2d"][other] - points, axis=1).mean() / size
            keypoints.append(min(float(gap), 1.0))
            pose = ours["joints"][other] - ours["translation"][other]
            pose = pose - (theirs["joints"][slot] - theirs["translation"][slot])
            joints.append(1e3 * float(np.linalg.norm(pose, axis=1).mean()))
    return Shift(
        found_again=len(joints) / max(len(keypoints), 1),
        keypoints=float(np.mean(keypoints)) if keypoints else 0.0,
        joints_mm=float(np.mean(joints)) if joints else float("nan"),
    )

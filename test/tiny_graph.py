"""A graph that follows the contract and finds the same hands everywhere: for tests without torch.

It projects constant hands with the intrinsics it is given, so that everything around the network
can be checked exactly: whatever the letterbox does, the keypoints in the source image must be the
joints projected with the source intrinsics. An image with a black top-left corner has no hands.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from handmesh_ros.hand.conventions import KEYPOINT_NAMES
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.sidecar import HandModelReference, Sidecar

SLOTS, VERTICES = 4, 778
SCORES = np.array([0.9, 0.8, 0.6, 0.01], np.float32)
RIGHT = np.array([0.95, 0.1, 0.2, 0.5], np.float32)
WRISTS = np.array([[-0.1, 0, 0.6], [0.12, 0.02, 0.7], [-0.1, 0, 0.6], [0, 0, 0.5]], np.float32)
"""Slot 2 is the hand of slot 0, found a second time as a left one."""

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (uint8[1,{height},{width},3] image, float[1,4] intrinsics) => (
  float[{slots}] score, float[{slots}] handedness, float[{slots},2] centre, float[{slots},4] box,
  float[{slots},21,2] joints_2d, float[{slots},21,3] joints, float[{slots},{vertices},3] vertices,
  float[{slots},16,3,3] rotations, float[{slots},10] shape, float[{slots},3] translation,
  float[{slots},{vertices},3] colors
) {{
  pixels = Cast <to = 1> (image)
  corner = Slice (pixels, zero4, corner_end)
  brightest = ReduceMax <keepdims = 0> (corner)
  lit = Sign (brightest)
  score = Mul (scores, lit)
  focal, principal = Split <axis = 1> (intrinsics, two_two)
  xy, z = Split <axis = 2> (joint_points, two_one)
  ray = Div (xy, z)
  offset = Mul (ray, focal)
  joints_2d = Add (offset, principal)
  centre = ReduceMean <axes = [1], keepdims = 0> (joints_2d)
  low = ReduceMin <axes = [1], keepdims = 0> (joints_2d)
  high = ReduceMax <axes = [1], keepdims = 0> (joints_2d)
  box = Concat <axis = 1> (low, high)
  handedness = Identity (right)
  joints = Identity (joint_points)
  vertices = Identity (vertex_points)
  rotations = Identity (joint_rotations)
  shape = Identity (betas)
  translation = Identity (wrists)
  colors = Identity (albedo)
}}
"""


def hand_points(count: int) -> np.ndarray:
    """Return (count, 3) points of a flat spiral the size of a hand, the first one at its wrist."""
    angle = np.linspace(0, 6 * np.pi, count)
    radius = np.linspace(0, 0.09, count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), 0.1 * radius], axis=-1)


def write_tiny_model(folder: Path, *, input_size: tuple[int, int] = (96, 128)) -> Path:
    """Write tiny.onnx and tiny.json into `folder` and return the path of the graph."""
    joints = WRISTS[:, None] + hand_points(len(KEYPOINT_NAMES))
    constants = {
        "zero4": np.zeros(4, np.int64),
        "corner_end": np.array([1, 4, 4, 3], np.int64),
        "two_two": np.array([2, 2], np.int64),
        "two_one": np.array([2, 1], np.int64),
        "scores": SCORES,
        "right": RIGHT,
        "wrists": WRISTS,
        "joint_points": joints.astype(np.float32),
        "vertex_points": (WRISTS[:, None] + hand_points(VERTICES)).astype(np.float32),
        "joint_rotations": np.tile(np.eye(3, dtype=np.float32), (SLOTS, 16, 1, 1)),
        "betas": np.zeros((SLOTS, 10), np.float32),
        "albedo": np.full((SLOTS, VERTICES, 3), 0.6, np.float32),
    }
    text = GRAPH.format(height=input_size[0], width=input_size[1], slots=SLOTS, vertices=VERTICES)
    model = onnx.parser.parse_model(text)
    for name, values in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    onnx.checker.check_model(model)
    path = folder / "tiny.onnx"
    path.write_bytes(model.SerializeToString())
    Sidecar(
        model_id="tiny-test",
        input_size=input_size,
        max_hands=SLOTS,
        hand_model=HandModelReference.of(HandTemplate.bundled()),
        score_threshold=0.3,
        onnx_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    ).write(path.with_suffix(".json"))
    return path

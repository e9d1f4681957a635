"""What a page keeps of an image: a JPEG within a budget, and its hands in few bytes."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np

from handmesh_ros.hand.hands import Hands
from handmesh_ros.training.evaluation.metrics import TrueHands

_QUALITY = 82
_LONGEST_SIDE = 1280
_SMALLER = 0.8
_STEPS = 65535


def encode_picture(image: np.ndarray, budget: int, longest_side: int = _LONGEST_SIDE) -> bytes:
    """Return a JPEG of at most so many bytes, made smaller as far as needed.

    Args:
        image: (H, W, 3) uint8 RGB.
        budget: bytes; a picture of 160 pixels is kept whatever it takes.
        longest_side: pixels at most.
    """
    side = max(image.shape[:2])
    limit = min(side, longest_side)
    while True:
        picture = image
        if limit < side:
            scale = limit / side
            size = tuple(max(1, round(length * scale)) for length in image.shape[1::-1])
            picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        if len(encoded) <= budget or limit <= 160:
            return encoded.tobytes()
        # Bytes grow about as pixels do: go where the budget may be met.
        limit = int(limit * max(0.5, min(_SMALLER, (budget / len(encoded)) ** 0.5)))


def in_base64(content: bytes) -> str:
    """Return bytes as HTML can hold them."""
    return base64.b64encode(content).decode("ascii")


def pack_hands(hands: Hands) -> list[dict[str, Any]]:
    """Return what the page shows of each hand.

    - `v`: vertices, (V, 3) uint16 in base64, steps of `step` metres from `origin`: a hand's
      vertices are a few micrometres off.
    - `c`: colours, (V, 3) uint8 sRGB in base64.
    - `j`: joints, 63 metres; `k`: keypoints, 42 pixels of the source image.

    Args:
        hands: with meshes; hands whose vertices are all zero have no `v`, `c`, `j`.
    """
    return [_pack(hand) for hand in hands]


def _pack(hand: Hands) -> dict[str, Any]:
    packed: dict[str, Any] = {"k": hand.keypoints_2d[0].astype(float).round(1).ravel().tolist()}
    vertices = hand.vertices[0].astype(np.float64)
    if not vertices.any():
        return packed
    origin = vertices.min(axis=0)
    step = max(float(np.ptp(vertices, axis=0).max()) / _STEPS, 1e-9)
    steps = np.rint((vertices - origin) / step).astype("<u2")
    colors = np.rint(255 * hand.colors[0].clip(0, 1)).astype(np.uint8)
    return packed | {
        "v": in_base64(steps.tobytes()),
        "origin": origin.round(7).tolist(),
        "step": step,
        "c": in_base64(colors.tobytes()),
        "j": hand.joints[0].astype(float).round(5).ravel().tolist(),
    }


def pack_truth(truth: TrueHands) -> list[dict[str, Any]]:
    """Return the keypoints of the true hands that count; `n` is the number in the truth."""
    return [
        {
            "n": int(number),
            "k": truth.keypoints_2d[number].astype(float).round(1).ravel().tolist(),
            "side": int(truth.is_right[number]),
        }
        for number in np.flatnonzero(~truth.ignored)
    ]

"""Pseudo-labels: hands that MediaPipe finds in a photograph and finds again in its mirror image.

MediaPipe is right about most hands that it is sure of, and a test-time flip changes its errors:
if both passes agree, their mean is a label; a hand that one pass finds, or on which they differ,
is written without keypoints. No torch: it runs in MediaPipe's own environment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.data.readers.hand_labels import LabelledHand
from handmesh_ros.training.data.sample import box_of_keypoints, palm_size

AGREEMENT = 0.2
"""Greatest mean distance between the two passes over one hand, in palm sizes."""

_SAME_HAND = 1.0
_LEAST_DETECTION = 0.3


@dataclass(frozen=True)
class FoundHand:
    """What a detector says of one hand.

    Attributes:
        keypoints: (21, 2) pixels, our keypoint order, which is MediaPipe's.
        is_right: the anatomical side, as seen in an image that is not mirrored.
        score: 0 to 1.
        world: (21, 3) metres about the hand's middle, seen straight on.
    """

    keypoints: np.ndarray
    is_right: bool
    score: float
    world: np.ndarray


Finder = Callable[[np.ndarray], list[FoundHand]]
"""Finds the hands of an (H, W, 3) uint8 RGB image."""


def label_hands(
    image: np.ndarray, find: Finder, min_score: float, min_side: float = 20.0
) -> list[LabelledHand]:
    """Return the hands of an image that a detector finds, labelled where it agrees with itself.

    Args:
        image: (H, W, 3) uint8 RGB.
        find: the detector.
        min_score: hands below it, in either pass, are not labelled.
        min_side: least longer side of a labelled hand's box, pixels.
    """
    width = image.shape[1]
    first = find(image)
    second = [_mirrored(hand, width) for hand in find(np.ascontiguousarray(image[:, ::-1]))]
    pairs = _pair(first, second)
    hands = [_agreed(first[i], second[j], min_score, min_side) for i, j in pairs]
    used = {i for i, _ in pairs}, {j for _, j in pairs}
    alone = [hand for i, hand in enumerate(first) if i not in used[0]]
    alone += [hand for j, hand in enumerate(second) if j not in used[1]]
    return hands + [_unlabelled(hand) for hand in alone]


def mediapipe_finder(max_hands: int) -> Finder:
    """Return a detector that runs MediaPipe Hands (full model, single images).

    Args:
        max_hands: in one image.

    Raises:
        HandmeshError: this MediaPipe has no hand model.
    """
    import mediapipe

    solutions = getattr(mediapipe, "solutions", None)
    if solutions is None:
        raise HandmeshError(
            f"MediaPipe {mediapipe.__version__} ships no hand model: pip install "
            "mediapipe==0.10.21 in an environment of its own."
        )
    detector = solutions.hands.Hands(
        static_image_mode=True,
        max_num_hands=max_hands,
        model_complexity=1,
        min_detection_confidence=_LEAST_DETECTION,
    )

    def find(image: np.ndarray) -> list[FoundHand]:
        return hands_of_result(detector.process(image), image.shape[1], image.shape[0])

    return find


def hands_of_result(result: Any, width: int, height: int) -> list[FoundHand]:
    """Return what MediaPipe's result holds.

    It names sides as in a mirrored selfie, so that they are swapped here, and its coordinates are
    fractions of the image from edge to edge.

    Args:
        result: has `multi_hand_landmarks`, `multi_hand_world_landmarks`, `multi_handedness`; None
            without hands.
        width: of the image, pixels.
        height: of the image, pixels.
    """
    hands = []
    for landmarks, space, sides in zip(
        result.multi_hand_landmarks or (),
        result.multi_hand_world_landmarks or (),
        result.multi_handedness or (),
        strict=True,
    ):
        world = np.array([[point.x, point.y, point.z] for point in space.landmark], np.float32)
        points = np.array([[point.x, point.y] for point in landmarks.landmark], np.float32)
        side = sides.classification[0]
        hands.append(
            FoundHand(
                points * (width, height) - 0.5, side.label == "Left", float(side.score), world
            )
        )
    return hands


def _mirrored(hand: FoundHand, width: int) -> FoundHand:
    points = hand.keypoints.copy()
    points[:, 0] = width - 1 - points[:, 0]
    return FoundHand(points, not hand.is_right, hand.score, hand.world * (-1, 1, 1))


def _distance(one: FoundHand, other: FoundHand) -> float:
    """Mean distance of the keypoints in sizes of the larger palm."""
    size = max(float(palm_size(one.keypoints)), float(palm_size(other.keypoints)), 1.0)
    return float(np.linalg.norm(one.keypoints - other.keypoints, axis=1).mean()) / size


def _pair(first: Sequence[FoundHand], second: Sequence[FoundHand]) -> list[tuple[int, int]]:
    """Return pairs of the same hand, closest first, each hand in one pair."""
    distances = sorted(
        (_distance(one, other), i, j)
        for i, one in enumerate(first)
        for j, other in enumerate(second)
    )
    pairs: list[tuple[int, int]] = []
    for distance, i, j in distances:
        if distance < _SAME_HAND and all(i != a and j != b for a, b in pairs):
            pairs.append((i, j))
    return pairs


def _agreed(one: FoundHand, other: FoundHand, min_score: float, min_side: float) -> LabelledHand:
    keypoints = (one.keypoints + other.keypoints) / 2
    box = box_of_keypoints(keypoints[None])[0]
    score = min(one.score, other.score)
    sure = score >= min_score and (box[2:] - box[:2]).max() >= min_side
    agree = one.is_right == other.is_right and _distance(one, other) <= AGREEMENT
    if not (sure and agree):
        return LabelledHand(None, box, one.is_right, score)
    return LabelledHand(keypoints, box, one.is_right, score, (one.world + other.world) / 2)


def _unlabelled(hand: FoundHand) -> LabelledHand:
    box = box_of_keypoints(hand.keypoints[None])[0]
    return LabelledHand(None, box, hand.is_right, hand.score)

"""Synthetic videos for trackers: true hands over time, and what a detector would find of them.

Nothing is rendered: detections are the truth with noise, misses, wrong sides and false hands, so a
thousand images take seconds and every error is the tracker's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from handmesh_ros.hand.conventions import FINGERTIP_KEYPOINTS, KEYPOINT_FROM_MODEL_JOINT, MIRROR
from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.rotations import from_rotation_vectors, matrices
from handmesh_ros.hand.size import hand_length
from handmesh_ros.hand.template import HandTemplate

FOCAL_PX, CENTRE_PX, SIZE_PX = 600.0, np.array([319.5, 239.5]), np.array([640, 480])
RATE_HZ = 30.0

NEW_IDENTITY_S = 1.0
"""A hand that was away for longer counts as another one when it returns."""

FACING = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Rotation of an upright right hand that shows the camera its side; actors turn it."""


@dataclass(frozen=True)
class Noise:
    """How a detector errs; of the kind, not the measure, of any one network.

    Attributes:
        position_px: of a whole hand in the image, pixels.
        depth: of its distance, relative.
        size: of its estimated size, relative.
        rotation_rad: of the wrist and of every finger joint.
        miss: probability that a visible hand is not found.
        wrong_side: probability that its side is taken for the other.
        false_hands: mean number of hands per image that are none.
    """

    position_px: float = 1.5
    depth: float = 0.015
    size: float = 0.02
    rotation_rad: float = 0.04
    miss: float = 0.02
    wrong_side: float = 0.05
    false_hands: float = 0.01

    def times(self, factor: float) -> Noise:
        """Return the noise with all standard deviations multiplied."""
        return replace(
            self,
            position_px=factor * self.position_px,
            depth=factor * self.depth,
            size=factor * self.size,
            rotation_rad=factor * self.rotation_rad,
        )


NO_NOISE = Noise(*[0.0] * 7)

STILL_NOISE = Noise(0.6, 0.011, 0.002, 0.021, 0.0, 0.0, 0.0)
"""How the bundled network's hands move when nothing does: medians that
`python -m benchmarks.wrist_errors --still` found for mobile-0.3.0."""


@dataclass(frozen=True)
class Actor:
    """One hand of a scene.

    Attributes:
        is_right: its side.
        path: time in seconds to the (3,) wrist, metres, camera frame.
        hidden: time in seconds to whether something stands before it.
        phase: of its gestures, radians; makes hands differ.
        size: relative to the mean hand.
    """

    is_right: bool
    path: Callable[[float], np.ndarray]
    hidden: Callable[[float], bool] = lambda _: False
    phase: float = 0.0
    size: float = 1.0

    def varied(self, random: np.random.Generator) -> Actor:
        """Return the same part played otherwise: other start, pace, place, gestures and size."""
        start_s, pace = random.uniform(0.0, 10.0), random.uniform(0.9, 1.1)
        shift = random.uniform(-0.02, 0.02, 3)
        return replace(
            self,
            path=lambda time_s: self.path(pace * time_s + start_s) + shift,
            phase=self.phase + random.normal(0.0, 0.5),
            size=self.size * random.uniform(0.95, 1.05),
        )


@dataclass(frozen=True)
class SceneFrame:
    """One image of a scene.

    Attributes:
        stamp_s: capture time.
        truth: all hands inside the image, also those behind something.
        identity: (N,) which hand each is.
        hidden: (N,) whether something stands before it: a nearer hand, or `Actor.hidden`.
        screened: (N,) whether that is something else than a hand.
        found: what the detector reports, best score first.
    """

    stamp_s: float
    truth: Hands
    identity: np.ndarray
    hidden: np.ndarray
    screened: np.ndarray
    found: Hands


class Stage:
    """Plays scenes.

    Args:
        noise: of the detector.
        seed: of its errors.
        with_mesh: hands have all their vertices; otherwise the five fingertips stand for them,
            which is many times faster.
    """

    def __init__(
        self, noise: Noise | None = None, seed: int = 0, *, with_mesh: bool = False
    ) -> None:
        self._noise = noise or Noise()
        self._random = np.random.default_rng(seed)
        self._template = HandTemplate.bundled()
        self._chosen = None if with_mesh else self._template.fingertips
        flat = pose(self._template, np.tile(np.eye(3), (16, 1, 1)), is_right=True)[0]
        self._mean_length = float(hand_length(flat))

    def play(self, actors: list[Actor], duration_s: float) -> Iterator[SceneFrame]:
        """Yield the images of a scene, `RATE_HZ` of them per second."""
        away_since = np.full(len(actors), -np.inf)
        identity = np.full(len(actors), -1)
        next_identity = 0
        for number in range(round(duration_s * RATE_HZ)):
            time_s = number / RATE_HZ
            truth = Hands.joined([self._hand(actor, time_s) for actor in actors])
            inside = is_inside(truth)
            for index in np.flatnonzero(inside):
                if time_s - away_since[index] > NEW_IDENTITY_S:
                    identity[index], next_identity = next_identity, next_identity + 1
                away_since[index] = time_s
            screened = np.array([actor.hidden(time_s) for actor in actors])
            hidden = screened | _is_covered(truth)
            found = self._detect(truth[np.flatnonzero(inside & ~hidden)])
            chosen = np.flatnonzero(inside)
            yield SceneFrame(
                time_s, truth[chosen], identity[chosen], hidden[chosen], screened[chosen], found
            )

    def _hand(self, actor: Actor, time_s: float) -> Hands:
        """Return the true hand of an actor."""
        sway = np.array([0.25, 0.5, 0.3]) * np.sin(
            np.array([1.3, 0.9, 1.7]) * time_s + actor.phase * np.array([1.0, 2.0, 3.0])
        ) + [0.0, 0.8 * actor.phase, 0.0]
        wrist = matrices(from_rotation_vectors(sway)) @ FACING
        bend = 0.5 + 0.4 * np.sin(1.1 * time_s + actor.phase + 0.4 * np.arange(15))
        axes = self._template.flexion_axes
        fingers = matrices(from_rotation_vectors(axes * bend[:, None]))
        rotations = np.concatenate([wrist[None], fingers])
        if not actor.is_right:
            rotations = MIRROR @ rotations @ MIRROR
        return self._posed(rotations, actor.is_right, actor.path(time_s), actor.size)

    def _posed(
        self, rotations: np.ndarray, is_right: bool, wrist: np.ndarray, size: float
    ) -> Hands:
        joints, vertices = pose(self._template, rotations, is_right, self._chosen)
        return observed(joints * size + wrist, vertices * size + wrist, rotations, is_right)

    def _detect(self, truth: Hands) -> Hands:
        """Return what a detector finds of the hands."""
        noise, random = self._noise, self._random
        found = [self._seen(hand) for hand in truth if random.random() > noise.miss]
        for _ in range(random.poisson(noise.false_hands)):
            wrist = np.array([random.uniform(-0.2, 0.2), random.uniform(-0.15, 0.15), 0.6])
            rotations = matrices(from_rotation_vectors(random.normal(0.0, 1.0, (16, 3))))
            false = self._posed(rotations, bool(random.integers(2)), wrist, 1.0)
            found.append(false.replace(score=np.array([0.4], np.float32)))
        hands = Hands.joined(found) if found else Hands.empty(truth.vertices.shape[1])
        return hands[np.argsort(-hands.score)]

    def _seen(self, hand: Hands) -> Hands:
        """Return one hand with the detector's errors."""
        noise, random = self._noise, self._random
        is_right = bool(hand.right_probability[0] > 0.5)
        turns = from_rotation_vectors(random.normal(0.0, noise.rotation_rad, (16, 3)))
        rotations = hand.rotations[0] @ matrices(turns)
        taken_right = is_right ^ (random.random() < noise.wrong_side)
        if taken_right != is_right:
            rotations = MIRROR @ rotations @ MIRROR
        shift = random.normal(0.0, noise.position_px, 2) / FOCAL_PX
        wrist = hand.translation[0].astype(float)
        wrist = wrist[2] * np.array([*(wrist[:2] / wrist[2] + shift), 1.0])
        wrist *= np.exp(random.normal(0.0, noise.depth))
        size = (
            hand_length(hand.joints)[0]
            / self._mean_length
            * np.exp(random.normal(0.0, noise.size))
        )
        sure = random.uniform(0.7, 0.99)
        seen = self._posed(rotations, taken_right, wrist, size)
        seen = seen.replace(
            right_probability=np.array([sure if taken_right else 1.0 - sure], np.float32)
        )
        return seen.replace(score=random.uniform(0.7, 0.95, 1).astype(np.float32))


def pose(
    template: HandTemplate,
    rotations: np.ndarray,
    is_right: bool,
    chosen: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean hand in a pose, by linear blend skinning, relative to the wrist.

    Args:
        template: the hand.
        rotations: (16, 3, 3), model joint order.
        is_right: its side; left hands are the mirror image.
        chosen: indices of the vertices that are wanted; None for all.

    Returns:
        (21, 3) keypoints and (V, 3) or as many vertices as are chosen, metres.
    """
    turns = rotations if is_right else MIRROR @ rotations @ MIRROR
    rest = template.joint_template
    frames, places = np.zeros((16, 3, 3)), np.zeros((16, 3))
    frames[0] = turns[0]
    for joint in range(1, 16):
        parent = template.parents[joint]
        frames[joint] = frames[parent] @ turns[joint]
        places[joint] = places[parent] + frames[parent] @ (rest[joint] - rest[parent])
    offsets = places - np.einsum("jab,jb->ja", frames, rest)
    joints = places[np.maximum(KEYPOINT_FROM_MODEL_JOINT, 0)]
    joints[list(FINGERTIP_KEYPOINTS)] = _skinned(template, frames, offsets, template.fingertips)
    vertices = _skinned(template, frames, offsets, slice(None) if chosen is None else chosen)
    return (joints, vertices) if is_right else (joints @ MIRROR, vertices @ MIRROR)


def _skinned(
    template: HandTemplate, frames: np.ndarray, offsets: np.ndarray, chosen: np.ndarray | slice
) -> np.ndarray:
    weights = template.weights[chosen, :16]
    turns = (weights @ frames.reshape(16, 9)).reshape(-1, 3, 3)
    points = template.template[chosen, :, None]
    return (turns @ points)[:, :, 0] + weights @ offsets


def observed(
    joints: np.ndarray, vertices: np.ndarray, rotations: np.ndarray, is_right: bool
) -> Hands:
    """Return one hand as the camera of these scenes sees it, surely a hand of its side.

    Args:
        joints: (21, 3) metres, camera frame.
        vertices: (V, 3) metres, camera frame.
        rotations: (16, 3, 3).
        is_right: its side.
    """
    keypoints = project(joints)
    return Hands(
        score=np.ones(1, np.float32),
        right_probability=np.array([is_right], np.float32),
        box=np.array([[*keypoints.min(0), *keypoints.max(0)]], np.float32),
        keypoints_2d=keypoints[None].astype(np.float32),
        joints=joints[None].astype(np.float32),
        vertices=vertices[None].astype(np.float32),
        rotations=rotations[None].astype(np.float32),
        shape=np.zeros((1, 10), np.float32),
        translation=joints[None, 0].astype(np.float32),
        colors=np.full((1, len(vertices), 3), 0.6, np.float32),
        scale_source=np.zeros(1, np.uint8),
    )


def project(points: np.ndarray) -> np.ndarray:
    """Return (..., 2) pixels of (..., 3) points in front of the camera of these scenes."""
    return FOCAL_PX * points[..., :2] / points[..., 2:] + CENTRE_PX


def is_inside(hands: Hands) -> np.ndarray:
    """Return (N,) whether the middle of each hand lies in the image of these scenes."""
    middle = hands.keypoints_2d.mean(1)
    return ((middle >= 0) & (middle < SIZE_PX)).all(1)


def _is_covered(hands: Hands) -> np.ndarray:
    """Return (N,) whether a nearer hand stands before more than half of each."""
    middle, depth = hands.keypoints_2d.mean(1), hands.translation[:, 2]
    reach = 0.3 * np.linalg.norm(hands.box[:, 2:] - hands.box[:, :2], axis=1)
    apart = np.linalg.norm(middle[:, None] - middle[None], axis=-1)
    before = (depth[None] < depth[:, None] - 0.03) & (apart < reach[:, None])
    return before.any(1)

"""Arms and sleeves: what continues the hand towards the body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from handmesh_ros.hand.conventions import MIRROR
from handmesh_ros.training.synthesis.meshes import Mesh, tube_faces
from handmesh_ros.training.synthesis.poses import axis_angle

if TYPE_CHECKING:
    from handmesh_ros.hand.template import HandTemplate

UPPER_ARM_LENGTH = 0.30
LARGEST_WRIST_BEND = np.deg2rad(55)
STATIONS = 8
"""Number of places along the forearm where its cross-section is known; the last is its end."""

_SIDES = 16
_ANGLES = np.linspace(0, 2 * np.pi, _SIDES, endpoint=False)


@dataclass
class ArmPose:
    """How the arm continues a right hand (of a left hand: its mirror image).

    Attributes:
        wrist: (3, 3) forearm relative to the hand.
        elbow: (3, 3) upper arm relative to the forearm.
    """

    wrist: np.ndarray
    elbow: np.ndarray


def sample_arm(rng: np.random.Generator) -> ArmPose:
    """Draw a wrist bent by up to 60° and tilted by up to 25°, and any elbow."""
    bend = np.deg2rad(np.clip(rng.normal(0, 22), -60, 60))
    aside = np.deg2rad(np.clip(rng.normal(0, 10), -25, 25))
    _, y, z = np.eye(3)
    tilt, fold = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(0, 110))
    elbow = axis_angle(np.cos(tilt) * y + np.sin(tilt) * z, fold)
    return ArmPose(axis_angle(z, bend) @ axis_angle(y, aside), elbow)


def arm_towards(elbow: np.ndarray, hand: np.ndarray, wrist: np.ndarray, is_right: bool) -> ArmPose:
    """Return the stretched arm of a hand that points to its elbow, as far as the wrist bends.

    Args:
        elbow: (3,) where it points to, camera frame, metres.
        hand: (3, 3) rotation of the wrist, camera frame.
        wrist: (3,) metres.
        is_right: side of the hand.
    """
    towards = hand.T @ (elbow - wrist)
    towards = towards / np.linalg.norm(towards) * (1 if is_right else np.diag(MIRROR))
    axis = np.cross([1.0, 0.0, 0.0], towards)
    bend = np.arctan2(np.linalg.norm(axis), towards[0])
    axis /= max(float(np.linalg.norm(axis)), 1e-9)
    return ArmPose(axis_angle(axis, min(bend, LARGEST_WRIST_BEND)), np.eye(3))


class ArmShape:
    """Cross-sections of the render model's forearm, from which sleeves and upper arms are made.

    Args:
        template: render hand model.
    """

    def __init__(self, template: HandTemplate) -> None:
        vertices = template.template[template.hand_vertex_count :]
        along = np.linspace(0.03, vertices[:, 0].max() - 0.005, STATIONS)
        near = [vertices[np.abs(vertices[:, 0] - x) < 0.02] for x in along]
        low, high = np.stack([v.min(0) for v in near]), np.stack([v.max(0) for v in near])
        self.centres = (low + high) / 2
        self.centres[:, 0] = along
        self.radii = (high - low)[:, 1:] / 2

    def rings(self, arm: ArmPose, first: int, looser: np.ndarray | float) -> np.ndarray:
        """Return (P, 16, 3) rings from a station to the closed shoulder, wrist at the origin.

        Args:
            arm: pose of the arm.
            first: number of the station, 0 behind the wrist.
            looser: metres added to the radii; a number or (P, 16).
        """
        centres = list(self.centres[first:] @ arm.wrist.T)
        turns = [arm.wrist] * len(centres)
        radii = list(self.radii[first:])
        for k in range(1, 6):
            turn = arm.wrist @ _partly(arm.elbow, min(k / 3, 1.0))
            centres.append(centres[-1] + turn[:, 0] * UPPER_ARM_LENGTH / 5)
            turns.append(turn)
            radii.append(self.radii[-1] * (1.0 + 0.03 * k))
        centres.append(centres[-1])
        turns.append(turns[-1])
        radii.append(np.full(2, -np.min(looser)))
        wide = np.stack(radii)[:, None, :] + np.reshape(looser, (*np.shape(looser), 1))
        around = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], -1) * wide
        flat = np.concatenate([np.zeros((*around.shape[:2], 1)), around], axis=2)
        return np.stack(centres)[:, None] + np.einsum("pab,psb->psa", np.stack(turns), flat)


def _partly(rotation: np.ndarray, part: float) -> np.ndarray:
    """Return a fraction of a rotation by less than 180° about the same axis."""
    angle = np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))
    if angle < 1e-6:
        return rotation
    skew = rotation - rotation.T
    axis = np.array([skew[2, 1], skew[0, 2], skew[1, 0]]) / (2 * np.sin(angle))
    return axis_angle(axis, part * angle)


def _mesh(
    rings: np.ndarray, turn: np.ndarray, wrist: np.ndarray, is_right: bool, **rest: object
) -> Mesh:
    """Return a tube mesh of rings given in the frame of a right hand, moved to the camera."""
    points = rings.reshape(-1, 3)
    points = (points if is_right else points @ MIRROR) @ turn.T + wrist
    faces = tube_faces(len(rings), _SIDES)
    return Mesh(points, faces if is_right else faces[:, ::-1], **rest)  # type: ignore[arg-type]


def upper_arm_mesh(
    shape: ArmShape,
    arm: ArmPose,
    turn: np.ndarray,
    wrist: np.ndarray,
    is_right: bool,
    color: np.ndarray,
    instance: int,
) -> Mesh:
    """Return the bare upper arm, which starts inside the forearm's end.

    Args:
        shape: of the arm.
        arm: its pose.
        turn: (3, 3) rotation of the wrist in the camera frame.
        wrist: (3,) its place in the camera frame, metres.
        is_right: side.
        color: (3,) linear RGB.
        instance: the hand's number in the mask.
    """
    rings = shape.rings(arm, STATIONS - 2, -0.0015)
    colors = np.broadcast_to(color, (rings.shape[0] * _SIDES, 3))
    return _mesh(
        rings, turn, wrist, is_right, colors=colors, instance=instance, gloss=0.3, skin=1.0
    )


def sleeve_mesh(
    rng: np.random.Generator,
    shape: ArmShape,
    arm: ArmPose,
    turn: np.ndarray,
    wrist: np.ndarray,
    is_right: bool,
    cloth: tuple[int, np.ndarray],
    instance: int,
) -> Mesh:
    """Return a wrinkled sleeve from somewhere on the forearm to the shoulder.

    `cloth` is a texture layer and a (3,) linear RGB factor; the rest as in `upper_arm_mesh`.
    """
    first = int(rng.choice(7, p=[0.3, 0.15, 0.15, 0.1, 0.1, 0.1, 0.1]))
    count = STATIONS - first + 6
    loose = rng.uniform(0.009, 0.022) + 0.0015 * rng.normal(size=(count, _SIDES))
    loose += 0.002 * rng.normal(size=(count, 1))
    rings = shape.rings(arm, first, loose)
    hem = rings[:1].mean(1, keepdims=True) * 0.35 + rings[:1] * 0.65
    rings = np.concatenate([hem, rings])
    layer, color = cloth
    across = np.abs(np.linspace(-1, 1, _SIDES))[None]
    along = np.linspace(0, 0.2 * len(rings), len(rings))[:, None]
    uv = np.stack(np.broadcast_arrays(across, along), -1).reshape(-1, 2)
    colors = np.broadcast_to(color, (len(uv), 3))
    return _mesh(
        rings, turn, wrist, is_right, colors=colors, instance=instance, uv=uv, layer=layer,
        gloss=0.05,
    )  # fmt: skip

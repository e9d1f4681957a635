"""Draws whole scenes: how many hands, where, in which pose, seen how, under which light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from handmesh_ros.hand.conventions import MIRROR
from handmesh_ros.training.synthesis import arms, occluders
from handmesh_ros.training.synthesis.backgrounds import Backgrounds
from handmesh_ros.training.synthesis.meshes import Mesh, vertex_normals
from handmesh_ros.training.synthesis.poses import axis_angle, sample_pose
from handmesh_ros.training.synthesis.renderer import Lighting
from handmesh_ros.training.synthesis.skins import Skin, Skins
from handmesh_ros.training.synthesis.surface import PosedHand, pose_hand

if TYPE_CHECKING:
    from handmesh_ros.hand.template import HandTemplate

COUNT_SHARES = (0.03, 0.36, 0.33, 0.13, 0.07, 0.05, 0.03)
"""Share of scenes with 0, 1, 2, … hands."""

NEAREST = 0.1
"""Metres; no part of a hand is nearer to the camera."""

HAND_LENGTH = 0.19
"""Metres, wrist to middle fingertip of the mean hand; only sets apparent sizes."""

PALM_VIEW = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
"""Rotation of a right hand with its palm to the camera and its fingers up."""


@dataclass
class SceneHand:
    """One hand of a scene, in the camera frame.

    Attributes:
        is_right: side.
        rotations: (16, 3, 3) as in `Hands.rotations`.
        shape: (10,) coefficients.
        translation: (3,) wrist, metres.
        skin: its colours.
        surface: the 778-vertex hand.
        keypoints: (21, 3) metres.
    """

    is_right: bool
    rotations: np.ndarray
    shape: np.ndarray
    translation: np.ndarray
    skin: Skin
    surface: PosedHand
    keypoints: np.ndarray

    def move(self, step: np.ndarray) -> None:
        """Shift the hand by (3,) metres."""
        self.translation = self.translation + step
        self.surface = PosedHand(self.surface.vertices + step, self.surface.joints + step)
        self.keypoints = self.keypoints + step


@dataclass
class Scene:
    """Everything that the renderer needs and the truth about the hands."""

    hands: list[SceneHand]
    meshes: list[Mesh]
    intrinsics: np.ndarray
    lighting: Lighting
    background: np.ndarray


class SceneSampler:
    """Draws scenes.

    Args:
        output_model: 778-vertex hand model, the one of the truth.
        render_model: dense hand model with texture coordinates and an open wrist.
        width: of the images, pixels.
        height: of the images, pixels.
        skins: folder of skin textures, or None for painted ones.
        backgrounds: folders of photographs without hands; none means painted ones.
        without: what to leave out, for ablations: "forearms" with arms and sleeves, "occluders"
            with all that is held or stands in front or behind. Nothing else changes.

    Attributes:
        textures: (L, 512, 512, 3) uint8 layers for the renderer.

    Raises:
        HandmeshError: a folder holds no readable image.
    """

    def __init__(
        self,
        output_model: HandTemplate,
        render_model: HandTemplate,
        width: int,
        height: int,
        skins: Path | None = None,
        backgrounds: Sequence[Path] = (),
        without: Sequence[str] = (),
    ) -> None:
        self.without = frozenset(without)
        self.output_model, self.render_model = output_model, render_model
        self.width, self.height = width, height
        self.skins = Skins(render_model, skins)
        self.backgrounds = Backgrounds(backgrounds)
        materials = occluders.paint_materials(self.backgrounds)
        self.first_material = len(self.skins.textures)
        self.textures = np.concatenate([self.skins.textures, materials])
        self._fingertips = output_model.template[output_model.fingertips]
        self._arm_shape = arms.ArmShape(render_model)
        uv_of_vertex = np.zeros((render_model.hand_vertex_count, 2))
        uv_of_vertex[self.skins.uv_vertex] = self.skins.uv
        self._output_uv = uv_of_vertex[output_model.render_vertex]
        used, faces = np.unique(
            render_model.faces[render_model.hand_face_count :], return_inverse=True
        )
        self._arm_vertex, self._arm_faces = used, faces.reshape(-1, 3)
        points = render_model.template[used]
        ring = used[used < render_model.hand_vertex_count]
        angle = np.arctan2(points[:, 1], points[:, 2])
        ring_angle = np.arctan2(*render_model.template[ring][:, 1:].T)
        apart = np.abs(np.exp(1j * angle)[:, None] - np.exp(1j * ring_angle)[None])
        self._arm_uv = uv_of_vertex[ring[apart.argmin(1)]]
        self._arm_fade = np.clip(points[:, :1] / 0.12, 0, 0.7)

    def sample(self, rng: np.random.Generator) -> Scene:
        """Draw one scene."""
        intrinsics = self._sample_camera(rng)
        count = int(rng.choice(len(COUNT_SHARES), p=COUNT_SHARES))
        hands = self._sample_hands(rng, intrinsics, count)
        meshes: list[Mesh] = []
        for number, hand in enumerate(hands, start=1):
            hand_mesh, *arm = self._hand_meshes(rng, hand, number)
            meshes += [hand_mesh] if "forearms" in self.without else [hand_mesh, *arm]
        objects = self._sample_objects(rng, hands)
        meshes += [] if "occluders" in self.without else objects
        background = self.backgrounds.sample(rng, self.width, self.height)
        return Scene(hands, meshes, intrinsics, sample_lighting(rng), background)

    def albedo(self, hand: SceneHand) -> np.ndarray:
        """Return the (778, 3) uint8 sRGB colours of a hand's surface without light."""
        return self.skins.albedo(hand.skin, self._output_uv)

    def _sample_camera(self, rng: np.random.Generator) -> np.ndarray:
        """Draw (4,) intrinsics with 40-90° along the longer side."""
        field = np.deg2rad(rng.uniform(40, 90))
        focal = max(self.width, self.height) / (2 * np.tan(field / 2))
        centre = np.array([self.width - 1, self.height - 1]) / 2
        centre = centre + rng.normal(0, 0.01, 2) * self.width
        aspect = np.exp(rng.normal(0, 0.004))
        return np.array([focal, focal * aspect, *centre])

    def _sample_hands(
        self, rng: np.random.Generator, intrinsics: np.ndarray, count: int
    ) -> list[SceneHand]:
        """Draw the hands; later ones keep off earlier ones or, at times, touch them."""
        hands: list[SceneHand] = []
        together = rng.random() < 0.35
        skin = self.skins.sample(rng)
        size = np.exp(rng.uniform(np.log(0.12), np.log(0.95)))
        size = min(size, 1.1 / np.sqrt(max(count, 1)))
        for number in range(count):
            if number % 2 == 0 and number and rng.random() < 0.7:
                skin = self.skins.sample(rng)
            is_right = bool(rng.random() < 0.5)
            partner = hands[-1] if number % 2 else None
            if partner and rng.random() < 0.8:
                is_right = not partner.is_right
            for _ in range(12):
                hand = self._sample_hand(rng, skin, is_right)
                if partner and together:
                    self._place_beside(rng, hand, partner)
                else:
                    scale = size * np.exp(rng.normal(0, 0.25))
                    self._place(rng, hand, intrinsics, float(np.clip(scale, 0.08, 0.95)), hands)
                for other in hands:
                    push_apart(hand, other)
                if hand.surface.vertices[:, 2].min() > NEAREST:
                    hands.append(hand)
                    break
        return hands

    def _sample_hand(self, rng: np.random.Generator, skin: Skin, is_right: bool) -> SceneHand:
        """Draw a posed and turned hand with its wrist at the origin."""
        pose = sample_pose(rng, self.output_model.joint_template, self._fingertips)
        pose[0] = sample_view(rng)
        if not is_right:
            pose = MIRROR @ pose @ MIRROR
        shape = np.clip(rng.normal(0, 1, self.output_model.shape_dirs.shape[2]), -2, 2)
        surface = pose_hand(self.output_model, pose, shape, is_right, np.zeros(3))
        keypoints = surface.keypoints(self.output_model.fingertips)
        return SceneHand(is_right, pose, shape, np.zeros(3), skin, surface, keypoints)

    def _place(
        self,
        rng: np.random.Generator,
        hand: SceneHand,
        intrinsics: np.ndarray,
        size: float,
        others: list[SceneHand],
    ) -> None:
        """Move the hand so that its centre falls into the image, rather away from the others."""
        depth = intrinsics[0] * HAND_LENGTH / (size * min(self.width, self.height))
        depth = max(depth, NEAREST + 0.12)
        extent = np.array([self.width, self.height], float)
        margin = -0.04 if rng.random() < 0.15 else 0.1
        middle = hand.keypoints.mean(0)
        taken = [
            other.keypoints[:, :2].mean(0) / other.keypoints[:, 2].mean() * intrinsics[:2]
            + intrinsics[2:]
            for other in others
        ]
        best, best_gap = np.zeros(2), -np.inf
        for _ in range(1 if rng.random() < 0.2 else 6):
            pixel = extent * rng.uniform(margin, 1 - margin, 2)
            gap = min((float(np.linalg.norm(pixel - t)) for t in taken), default=np.inf)
            if gap > best_gap:
                best, best_gap = pixel, gap
        ray = np.append((best - intrinsics[2:]) / intrinsics[:2], 1.0)
        hand.move(ray * depth - middle)

    def _place_beside(self, rng: np.random.Generator, hand: SceneHand, partner: SceneHand) -> None:
        """Move the hand to where it touches, crosses or overlaps its partner."""
        offset = rng.normal(0, 1, 3) * [1.0, 0.8, 0.5]
        offset *= rng.uniform(0.02, 0.14) / np.linalg.norm(offset)
        hand.move(partner.keypoints.mean(0) + offset - hand.keypoints.mean(0))

    def _hand_meshes(self, rng: np.random.Generator, hand: SceneHand, number: int) -> list[Mesh]:
        """Draw how the arm goes on and what it wears; return the hand's meshes."""
        arm, gloss = arms.sample_arm(rng), rng.uniform(0.15, 0.9)
        dressed = rng.random() < 0.5
        cloth = occluders.random_surface(rng, self.first_material) if dressed else None
        return self.hand_meshes(rng, hand, number, arm, gloss, cloth)

    def hand_meshes(
        self,
        rng: np.random.Generator,
        hand: SceneHand,
        number: int,
        arm: arms.ArmPose,
        gloss: float,
        cloth: tuple[int, np.ndarray] | None,
    ) -> list[Mesh]:
        """Return the meshes of one hand, first, its arm and perhaps a sleeve.

        Args:
            rng: of the sleeve's length and wrinkles.
            hand: what to draw.
            number: of the hand in the mask.
            arm: how the arm continues the hand.
            gloss: of the skin, 0..1.
            cloth: texture layer and (3,) linear RGB factor of the sleeve; None for a bare arm.
        """
        model, skins = self.render_model, self.skins
        forearm = arm.wrist if hand.is_right else MIRROR @ arm.wrist @ MIRROR
        rotations = np.concatenate([hand.rotations, forearm[None]])
        posed = pose_hand(model, rotations, hand.shape, hand.is_right, hand.translation)
        side = 1 if hand.is_right else -1
        normals = vertex_normals(posed.vertices, model.faces[:, ::side])
        tint = np.broadcast_to(hand.skin.tint, (len(skins.uv_vertex), 3))
        near_wrist = (skins.albedo(hand.skin, self._arm_uv) / 255.0) ** 2
        arm_color = 0.5 * hand.skin.arm + 0.5 * near_wrist.mean(0)
        hand_mesh = Mesh(
            posed.vertices[skins.uv_vertex],
            skins.uv_faces[:, ::side],
            tint,
            number,
            skins.uv,
            hand.skin.layer,
            gloss,
            1.0,
            normals[skins.uv_vertex],
        )
        arm_mesh = Mesh(
            posed.vertices[self._arm_vertex],
            self._arm_faces[:, ::side],
            near_wrist + self._arm_fade * (arm_color - near_wrist),
            number,
            gloss=gloss,
            skin=1.0,
            normals=normals[self._arm_vertex],
        )
        place = (arm, hand.rotations[0], hand.translation, hand.is_right)
        meshes = [hand_mesh, arm_mesh]
        if cloth is not None:
            meshes.append(arms.sleeve_mesh(rng, self._arm_shape, *place, cloth, number))
        else:
            color = near_wrist.mean(0) + 0.7 * (arm_color - near_wrist.mean(0))
            meshes.append(arms.upper_arm_mesh(self._arm_shape, *place, color, number))
        return meshes

    def _sample_objects(self, rng: np.random.Generator, hands: list[SceneHand]) -> list[Mesh]:
        """Return what is held, what covers, and what stands behind."""
        meshes = []
        for hand in hands:
            size = HAND_LENGTH
            if rng.random() < 0.15:
                meshes.append(
                    occluders.held_object(
                        rng, hand.keypoints, hand.rotations[0], self.first_material
                    )
                )
            if rng.random() < 0.1:
                target = hand.keypoints[rng.integers(21)]
                reach = size * rng.uniform(0.1, 0.5)
                meshes.append(occluders.object_before(rng, target, reach, self.first_material))
            if rng.random() < 0.15:
                meshes.append(
                    occluders.object_behind(rng, hand.keypoints[9], size, self.first_material)
                )
        return meshes


def sample_view(rng: np.random.Generator) -> np.ndarray:
    """Draw the (3, 3) rotation of a right hand in the camera frame.

    Fingers mostly point up or sideways in the image (the arm comes from below or a side), every
    direction occurs, also towards and away from the camera; palm, back and edges are balanced.
    """
    kind = rng.random()
    roll = rng.normal(0, 0.7) if kind < 0.6 else rng.uniform(-np.pi, np.pi)
    if rng.random() < 0.7:
        pitch = rng.normal(0, 0.5)
    else:
        pitch = np.arcsin(rng.uniform(-1, 1))
    side = rng.random()
    if side < 0.3:
        turn = rng.normal(0, 0.5)
    elif side < 0.6:
        turn = rng.normal(np.pi, 0.5)
    else:
        turn = rng.uniform(-np.pi, np.pi)
    x, y, z = np.eye(3)
    return axis_angle(z, roll) @ axis_angle(x, pitch) @ axis_angle(y, turn) @ PALM_VIEW


def push_apart(hand: SceneHand, other: SceneHand, gap: float = 0.006) -> None:
    """Move a hand away from another one until their surfaces no longer run into each other.

    Args:
        hand: moved, parallel to the image and away from the other's centre.
        other: stays.
        gap: least distance between (thinned-out) vertices, metres.
    """
    still = other.surface.vertices[::4]
    step = hand.keypoints.mean(0) - other.keypoints.mean(0)
    if np.linalg.norm(step) > 0.3:
        return
    step = 0.01 * step / max(float(np.linalg.norm(step)), 1e-6)
    for _ in range(20):
        moving = hand.surface.vertices[::4]
        squared = (moving**2).sum(1)[:, None] + (still**2).sum(1)[None] - 2.0 * moving @ still.T
        if squared.min() > gap**2:
            return
        hand.move(step)


def sample_lighting(rng: np.random.Generator) -> Lighting:
    """Draw one casting light and two fills over ambient light, of daylight to lamp colours."""

    def tint(strength: float) -> np.ndarray:
        warm = rng.normal(0, 1)
        return np.exp(strength * (warm * np.array([0.16, 0.0, -0.2]) + rng.normal(0, 0.04, 3)))

    cast = tint(1.0 if rng.random() < 0.8 else 2.0)
    directions = rng.normal(0, 1, (3, 3)) * [0.8, 0.8, 0.6] + [
        [0.0, -0.6, -0.8],
        [0.0, 0.0, -0.5],
        [0.0, 0.0, 0.0],
    ]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    key = rng.uniform(0.15, 1.3)
    strengths = np.array([key, rng.uniform(0, 0.5), rng.uniform(0, 0.4)])
    colors = strengths[:, None] * np.stack([tint(0.7) * cast for _ in range(3)])
    ambient = rng.uniform(0.2, 0.75)
    total = ambient + 0.6 * key + 0.2
    return Lighting(
        directions,
        colors,
        sky=ambient * tint(0.5) * cast,
        ground=ambient * rng.uniform(0.3, 0.9) * tint(0.5) * cast,
        exposure=float(np.exp(rng.normal(-0.05, 0.25)) / total),
        shadow=float(rng.uniform(0.3, 1.0)),
        roughness=float(rng.uniform(0.3, 0.9)),
    )

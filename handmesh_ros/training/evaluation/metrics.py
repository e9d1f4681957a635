"""How hands are judged: detection, handedness, 2D and 3D accuracy. NumPy only, exact definitions.

Procrustes alignment enforces det = +1, so that a mirrored hand is wrong. Lengths in metres come in
and millimetres go out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from handmesh_ros.hand.conventions import WRIST
from handmesh_ros.hand.hands import Hands

_MILLIMETRES = 1000.0
_IOU_STEPS = np.linspace(0.5, 0.95, 10)


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over union of every pair of boxes.

    Args:
        boxes: (N, 4) x0, y0, x1, y1.
        others: (M, 4).

    Returns:
        (N, M) in [0, 1].
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    area = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(-1)
    other_area = np.clip(others[:, 2:] - others[:, :2], 0, None).prod(-1)
    return shared / np.maximum(area[:, None] + other_area[None] - shared, 1e-9)


def procrustes(
    points: np.ndarray, target: np.ndarray, allow_reflection: bool = False
) -> np.ndarray:
    """Align points to a target by the best similarity with det(R) = +1 (Umeyama 1991).

    Args:
        points: (..., P, 3).
        target: (..., P, 3).
        allow_reflection: also take det(R) = -1, as the evaluation code of FreiHAND and HO-3D
            does: a mirrored hand is then right.

    Returns:
        (..., P, 3) rotated, scaled and shifted points.
    """
    mean, target_mean = points.mean(-2, keepdims=True), target.mean(-2, keepdims=True)
    centred, target_centred = points - mean, target - target_mean
    u, s, vt = np.linalg.svd(np.swapaxes(target_centred, -1, -2) @ centred)
    sign = np.ones_like(s)
    if not allow_reflection:
        sign[..., -1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[..., None, :]) @ vt
    scale = (s * sign).sum(-1) / np.maximum((centred**2).sum((-1, -2)), 1e-12)
    return scale[..., None, None] * centred @ np.swapaxes(rotation, -1, -2) + target_mean


def f_score(points: np.ndarray, target: np.ndarray, threshold: float) -> float:
    """Return the harmonic mean of precision and recall of nearest neighbours in a distance.

    Args:
        points: (P, 3) metres.
        target: (Q, 3) metres.
        threshold: metres.
    """
    distance = np.linalg.norm(points[:, None] - target[None], axis=-1)
    precision = (distance.min(1) < threshold).mean()
    recall = (distance.min(0) < threshold).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def pck_auc(errors_mm: np.ndarray, limit_mm: float = 50.0) -> float:
    """Return the normalised area under the share of errors within 0 … limit, 100 thresholds."""
    thresholds = np.linspace(0, limit_mm, 100)
    share = (errors_mm.reshape(1, -1) <= thresholds[:, None]).mean(1)
    return float(np.trapezoid(share, thresholds) / limit_mm)


def average_precision(score: np.ndarray, correct: np.ndarray, total: int) -> float:
    """Return COCO's 101-point interpolated average precision.

    Args:
        score: (D,) of all detections.
        correct: (D,) bool, matched to a true hand.
        total: number of true hands.
    """
    recall, precision = _curve(score, correct, total)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    index = np.searchsorted(recall, np.linspace(0, 1, 101))
    return float(np.append(precision, 0.0)[index].mean())


def recall_at_precision(score: np.ndarray, correct: np.ndarray, total: int, least: float) -> float:
    """Return the largest recall that some threshold gives at a precision of `least` or more.

    Arguments are those of `average_precision`.
    """
    recall, precision = _curve(score, correct, total)
    return float(recall[precision >= least].max(initial=0.0))


def _curve(score: np.ndarray, correct: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Return recall and precision (D,) with the first 1 … D detections, the surest first."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(correct[order])
    return hits / max(total, 1), hits / np.arange(1, len(order) + 1)


def clip_boxes(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return (N, 4) boxes without what lies outside the image, as the messages have them."""
    edges = np.array([width, height, width, height], np.float32) - 0.5
    return np.clip(boxes, -0.5, edges)


def match(score: np.ndarray, box: np.ndarray, truth_box: np.ndarray, min_iou: float) -> np.ndarray:
    """Match detections to true hands, best score first, each true hand once (COCO's rule).

    Args:
        score: (N,) of the detections.
        box: (N, 4) of the detections, pixels.
        truth_box: (M, 4) pixels.
        min_iou: least intersection over union.

    Returns:
        (N,) index of the true hand, or -1.
    """
    matched = np.full(len(score), -1)
    if len(truth_box) == 0:
        return matched
    iou = box_iou(box, truth_box)
    free = np.ones(len(truth_box), bool)
    for i in np.argsort(-score, kind="stable"):
        candidates = np.where(free, iou[i], -1)
        best = int(candidates.argmax())
        if candidates[best] >= min_iou:
            matched[i], free[best] = best, False
    return matched


@dataclass
class TrueHands:
    """The labels of one image; fields as in a training sample.

    Attributes:
        is_right: (M,) bool.
        box: (M, 4) pixels.
        keypoints_2d: (M, 21, 2) pixels.
        keypoints_counted: (M, 21) bool, keypoints that PCK is measured on.
        has_3d: (M,) bool.
        joints: (M, 21, 3) metres, camera frame.
        vertices: (M, V, 3) metres, camera frame.
        colors: (M, V, 3) in [0, 1], sRGB albedo; counts where `has_3d` is set.
        ignored: (M,) bool, hands that are neither demanded nor forbidden.
        width: of the image, pixels.
        height: of the image, pixels.
    """

    is_right: np.ndarray
    box: np.ndarray
    keypoints_2d: np.ndarray
    keypoints_counted: np.ndarray
    has_3d: np.ndarray
    joints: np.ndarray
    vertices: np.ndarray
    colors: np.ndarray
    ignored: np.ndarray
    width: int
    height: int


def _middle(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


@dataclass
class Metrics:
    """Sums over images; `update` once per image, `summary` at the end.

    Boxes are clipped to the image before they are compared, as COCO's and those of the messages
    are; `recall_whole` and `precision_whole` compare them whole, with what lies outside.

    Args:
        threshold: detections below this score count for average precision only.
    """

    threshold: float
    images: int = 0
    true_hands: int = 0
    detections: int = 0
    hits: int = 0
    whole_detections: int = 0
    whole_hits: int = 0
    side_hits: int = 0
    _scores: list[float] = field(default_factory=list)
    _correct: list[np.ndarray] = field(default_factory=list)
    _pck: list[np.ndarray] = field(default_factory=list)
    _joints_aligned: list[np.ndarray] = field(default_factory=list)
    _vertices_aligned: list[np.ndarray] = field(default_factory=list)
    _joints_wrist: list[float] = field(default_factory=list)
    _vertices_wrist: list[float] = field(default_factory=list)
    _covered: list[float] = field(default_factory=list)
    _wrist_distance: list[float] = field(default_factory=list)
    _between_wrists: list[float] = field(default_factory=list)
    _color: list[float] = field(default_factory=list)
    _f5: list[float] = field(default_factory=list)
    _f15: list[float] = field(default_factory=list)

    def update(self, found: Hands, truth: TrueHands) -> None:
        """Count one image.

        Args:
            found: detections at any score, source pixels and camera metres.
            truth: its labels.
        """
        self.images += 1
        counted = ~truth.ignored
        self.true_hands += int(counted.sum())
        self._count_average_precision(found, truth)
        found = found[found.score >= self.threshold]
        whole = match(found.score, found.box, truth.box, 0.5)
        self.whole_detections += sum(bool(j < 0 or counted[j]) for j in whole)
        self.whole_hits += sum(bool(j >= 0 and counted[j]) for j in whole)
        matched = self._match(found, truth, 0.5)
        self.detections += sum(bool(j < 0 or counted[j]) for j in matched)
        pairs = [(i, j) for i, j in enumerate(matched) if j >= 0 and counted[j]]
        self.hits += len(pairs)
        for i, j in pairs:
            self._count_hand(found, i, truth, j)
        hit = {j for _, j in pairs}
        for j in np.flatnonzero(counted & truth.has_3d):
            if j not in hit:  # a missed hand costs what a flat guess at the right place would
                self._covered.append(_flat_guess_error(truth.joints[j]))
        self._count_pair(found, dict((j, i) for i, j in pairs), truth)

    @staticmethod
    def _match(found: Hands, truth: TrueHands, min_iou: float) -> np.ndarray:
        box, truth_box = (
            clip_boxes(boxes, truth.width, truth.height) for boxes in (found.box, truth.box)
        )
        return match(found.score, box, truth_box, min_iou)

    def _count_average_precision(self, found: Hands, truth: TrueHands) -> None:
        steps = [self._match(found, truth, step) for step in _IOU_STEPS]
        for i in range(len(found)):
            at = np.array([step[i] for step in steps])
            if at[0] >= 0 and truth.ignored[at[0]]:
                continue
            self._scores.append(float(found.score[i]))
            self._correct.append(at >= 0)

    def _count_hand(self, found: Hands, i: int, truth: TrueHands, j: int) -> None:
        self.side_hits += int(bool(found.handedness[i]) == bool(truth.is_right[j]))
        box = truth.box[j]
        size = max(box[2] - box[0], box[3] - box[1])
        distance = np.linalg.norm(found.keypoints_2d[i] - truth.keypoints_2d[j], axis=1) / size
        self._pck.append(distance[truth.keypoints_counted[j]])
        if not truth.has_3d[j]:
            return
        joints, true_joints = found.joints[i], truth.joints[j]
        vertices, true_vertices = found.vertices[i], truth.vertices[j]
        error = np.linalg.norm(procrustes(joints, true_joints) - true_joints, axis=1)
        self._joints_aligned.append(error * _MILLIMETRES)
        tone = found.colors[i].mean(0) - truth.colors[j].mean(0)
        self._color.append(255 * float(np.abs(tone).mean()))
        aligned = procrustes(vertices, true_vertices)
        error = np.linalg.norm(aligned - true_vertices, axis=1)
        self._vertices_aligned.append(error * _MILLIMETRES)
        self._f5.append(f_score(aligned, true_vertices, 0.005))
        self._f15.append(f_score(aligned, true_vertices, 0.015))
        shift = true_joints[WRIST] - joints[WRIST]
        wrist_error = np.linalg.norm(joints + shift - true_joints, axis=1).mean()
        self._joints_wrist.append(float(wrist_error) * _MILLIMETRES)
        self._covered.append(float(wrist_error) * _MILLIMETRES)
        error = np.linalg.norm(vertices + shift - true_vertices, axis=1).mean()
        self._vertices_wrist.append(float(error) * _MILLIMETRES)
        self._wrist_distance.append(float(np.linalg.norm(shift)) * _MILLIMETRES)

    def _count_pair(self, found: Hands, found_at: dict[int, int], truth: TrueHands) -> None:
        """MRRPE over images that show exactly one left and one right hand, both found."""
        left = np.flatnonzero(~truth.is_right & truth.has_3d)
        right = np.flatnonzero(truth.is_right & truth.has_3d)
        if len(left) != 1 or len(right) != 1:
            return
        if left[0] in found_at and right[0] in found_at:
            between = (
                found.joints[found_at[left[0]], WRIST] - found.joints[found_at[right[0]], WRIST]
            )
            true_between = truth.joints[left[0], WRIST] - truth.joints[right[0], WRIST]
            self._between_wrists.append(
                float(np.linalg.norm(between - true_between)) * _MILLIMETRES
            )

    def summary(self) -> dict[str, float | int | None]:
        """Return every figure; None where no hand with the needed labels was matched."""
        score = np.array(self._scores)
        correct = np.array(self._correct).reshape(-1, len(_IOU_STEPS))
        precisions = [
            average_precision(score, correct[:, k], self.true_hands)
            for k in range(len(_IOU_STEPS))
        ]
        recall = self.hits / max(self.true_hands, 1)
        precision = self.hits / max(self.detections, 1)
        pck = np.concatenate(self._pck) if self._pck else np.zeros(0)
        joints = np.array([errors.mean() for errors in self._joints_aligned])
        joint_errors = np.concatenate(self._joints_aligned) if self._joints_aligned else None
        return {
            "images": self.images,
            "hands": self.true_hands,
            "recall": recall,
            "precision": precision,
            "recall_whole": self.whole_hits / max(self.true_hands, 1),
            "precision_whole": self.whole_hits / max(self.whole_detections, 1),
            "f1": 2 * recall * precision / max(recall + precision, 1e-9),
            "ap50": precisions[0],
            "map": float(np.mean(precisions)),
            "recall@p0.95": recall_at_precision(score, correct[:, 0], self.true_hands, 0.95),
            "recall@p0.99": recall_at_precision(score, correct[:, 0], self.true_hands, 0.99),
            "false_per_image": (self.detections - self.hits) / max(self.images, 1),
            "handedness": self.side_hits / self.hits if self.hits else None,
            **{
                f"pck@{t}": float((pck <= t).mean()) if len(pck) else None
                for t in (0.05, 0.1, 0.15, 0.2)
            },
            "pa_mpjpe_mm": _middle(list(joints)),
            "pa_mpvpe_mm": _middle([errors.mean() for errors in self._vertices_aligned]),
            "mpjpe_mm": _middle(self._joints_wrist),
            "mpvpe_mm": _middle(self._vertices_wrist),
            "covered_mpjpe_mm": _middle(self._covered),
            "auc": pck_auc(joint_errors) if joint_errors is not None else None,
            "color_error": _middle(self._color),
            "f@5": _middle(self._f5),
            "f@15": _middle(self._f15),
            "wrist_median_mm": (
                float(np.median(self._wrist_distance)) if self._wrist_distance else None
            ),
            "mrrpe_mm": _middle(self._between_wrists),
        }


def _flat_guess_error(joints: np.ndarray) -> float:
    """Error (mm) of guessing every joint at their mean, wrist-aligned: the charge of a miss."""
    relative = joints - joints[WRIST]
    return float(np.linalg.norm(relative - relative.mean(0), axis=1).mean()) * _MILLIMETRES

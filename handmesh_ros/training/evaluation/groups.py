"""Figures by side, size, view, pose, cover and skin: where a model is good and where it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch

from handmesh_ros.hand.conventions import WRIST
from handmesh_ros.hand.hands import Hands
from handmesh_ros.network.heads import palm_turn
from handmesh_ros.training.data.sample import Sample
from handmesh_ros.training.evaluation.metrics import Metrics, TrueHands
from handmesh_ros.training.losses.supervised import CLEAR_TURN

FIGURES = ("hands", "recall", "handedness", "pck@0.2", "pa_mpjpe_mm")
"""What is said of each group. (False finds belong to no group, so there is no precision.)"""

_SIZES = ((0.1, "below 10 %"), (0.2, "10–20 %"), (0.4, "20–40 %"), (np.inf, "above 40 %"))
_COVERS = ((0.5, "more than half hidden"), (0.9, "partly hidden"), (np.inf, "in plain view"))
_SKINS = (
    (-30.0, "dark"),
    (10.0, "brown"),
    (28.0, "tan"),
    (41.0, "intermediate"),
    (55.0, "light"),
    (np.inf, "very light"),
)
_POSES = {0: "fist", 4: "open"}
_SOME_FINGERS = "some fingers"
GROUPS = {
    "side": ("left", "right"),
    "size": tuple(name for _, name in _SIZES),
    "view": ("palm", "edge-on", "back"),
    "pose": (_POSES[0], _SOME_FINGERS, _POSES[4]),
    "cover": tuple(name for _, name in _COVERS),
    "skin": tuple(name for _, name in _SKINS),
}
"""All groups by kind of grouping, in the order in which they are shown."""

_FINGERTIPS, _MIDDLE_JOINTS = (8, 12, 16, 20), (6, 10, 14, 18)


def hand_groups(sample: Sample) -> dict[str, list[str]]:
    """Return which group each of N hands is in, by kind of grouping; "" where it is not known.

    - side: left or right.
    - size: longer side of the box by the image's longer side.
    - view: palm, back, or edge-on where knuckles and wrist lie nearly in line.
    - pose: how many of the four fingers are stretched: tips farther from the wrist than the
      middle joints.
    - cover: how much of the hand is seen.
    - skin: of hands with 3D labels, the individual typology angle of their true colours in the
      classes of Chardon et al. 1991.

    Args:
        sample: with N hands.
    """
    extent = (sample.box[:, 2:] - sample.box[:, :2]).max(axis=1, initial=0)
    turn = palm_turn(torch.from_numpy(sample.keypoints_2d)).numpy()
    palm = (turn > 0) == sample.is_right.astype(bool)
    has_3d = sample.has_3d.astype(bool)
    points = [
        sample.joints[hand] if has_3d[hand] else sample.keypoints_2d[hand]
        for hand in range(len(sample))
    ]
    return {
        "side": ["right" if right else "left" for right in sample.is_right],
        "size": [_class(share, _SIZES) for share in extent / max(sample.image.shape[:2])],
        "view": [
            "edge-on" if abs(t) <= CLEAR_TURN else "palm" if p else "back"
            for t, p in zip(turn, palm, strict=True)
        ],
        "pose": [_pose(hand) for hand in points],
        "cover": [_class(fraction, _COVERS) for fraction in sample.visible_fraction],
        "skin": [
            _class(typology_angle(sample.colors[hand]), _SKINS) if has_3d[hand] else ""
            for hand in range(len(sample))
        ],
    }


def typology_angle(colors: np.ndarray) -> float:
    """Return the individual typology angle of skin, degrees: atan2(L* - 50, b*) of its median.

    Chardon, Cretois and Hourseau 1991, in CIELAB under D65; light skin is positive, dark negative.

    Args:
        colors: (V, 3) uint8 sRGB.
    """
    median = np.median(colors, axis=0).astype(np.float32)[None, None] / 255
    lightness, _, yellow = cv2.cvtColor(median, cv2.COLOR_RGB2LAB)[0, 0]
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))


class GroupMetrics:
    """`Metrics` of every group; hands of the others are neither demanded nor forbidden there.

    Args:
        threshold: detections below this score do not count.
    """

    def __init__(self, threshold: float):
        self.threshold = threshold
        self._metrics: dict[tuple[str, str], Metrics] = {}

    def update(self, found: Hands, truth: TrueHands, sample: Sample) -> None:
        """Count one image.

        Args:
            found: detections at any score, source pixels and camera metres.
            truth: its labels.
            sample: that they come from.
        """
        for kind, names in hand_groups(sample).items():
            for name in set(names) - {""}:
                inside = np.array([other == name for other in names])
                metrics = self._metrics.setdefault((kind, name), Metrics(self.threshold))
                metrics.update(found, replace(truth, ignored=truth.ignored | ~inside))

    def summary(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return `FIGURES` by kind of grouping and group, in the order of `GROUPS`."""
        summaries: dict[str, dict[str, dict[str, Any]]] = {}
        for kind, name in ((kind, name) for kind, names in GROUPS.items() for name in names):
            figures = self._metrics.get((kind, name), Metrics(self.threshold)).summary()
            if figures["hands"]:
                chosen = {figure: figures[figure] for figure in FIGURES}
                summaries.setdefault(kind, {})[name] = chosen
        return summaries


def format_groups(summary: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return `GroupMetrics.summary()` as a Markdown table."""
    lines = ["| group | " + " | ".join(FIGURES) + " |", "|---" * (len(FIGURES) + 1) + "|"]
    for kind, groups in summary.items():
        for name, figures in groups.items():
            cells = []
            for figure in FIGURES:
                value = figures[figure]
                if value is None:
                    cells.append("–")
                elif figure == "hands":
                    cells.append(str(value))
                else:
                    cells.append(f"{value:.1f}" if figure.endswith("_mm") else f"{value:.3f}")
            lines.append(f"| {kind}: {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _class(value: float, limits: tuple[tuple[float, str], ...]) -> str:
    return next(name for limit, name in limits if value < limit)


def _pose(points: np.ndarray) -> str:
    """Group of 21 points, (21, 2) or (21, 3)."""
    reach = np.linalg.norm(points - points[WRIST], axis=1)
    stretched = int((reach[list(_FINGERTIPS)] > reach[list(_MIDDLE_JOINTS)]).sum())
    return _POSES.get(stretched, _SOME_FINGERS)

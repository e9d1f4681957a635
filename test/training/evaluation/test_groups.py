import numpy as np
import pytest
from drawn_hands import sample_with_3d

from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.model import HandModel
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.training.evaluation.evaluate import true_hands
from handmesh_ros.training.evaluation.groups import (
    GROUPS,
    GroupMetrics,
    format_groups,
    hand_groups,
    typology_angle,
)


@pytest.fixture(scope="module")
def sample():
    return sample_with_3d(np.random.default_rng(3), hands=4)


@pytest.mark.parametrize(
    "colour, low, high",
    [((245, 225, 210), 55, 90), ((200, 150, 115), 10, 41), ((70, 45, 35), -90, -30)],
)
def test_typology_angle_orders_skins(colour, low, high):
    assert low < typology_angle(np.tile(np.uint8(colour), (778, 1))) < high


def test_groups_of_known_hands(sample):
    keypoints = np.zeros((4, 21, 2), np.float32)
    keypoints[:, 5], keypoints[:, 17] = (20, -60), (-20, -60)  # index right of little: turn > 0
    keypoints[1] *= (-1, 1)
    keypoints[2, 5] = keypoints[2, 17]
    for tip, middle in ((8, 6), (12, 10), (16, 14), (20, 18)):
        keypoints[:, tip], keypoints[:, middle] = (0, -100), (0, -80)
    keypoints[3, [8, 12, 16, 20]] = (0, -40)
    side = max(sample.image.shape[:2])
    box = np.array([[0, 0, share * side, 1] for share in (0.05, 0.15, 0.3, 0.9)], np.float32)
    groups = hand_groups(
        sample.replace(
            is_right=np.array([1, 1, 0, 0], np.uint8),
            has_3d=np.zeros(4, np.uint8),
            keypoints_2d=keypoints,
            box=box,
            visible_fraction=np.array([0.2, 0.6, 0.95, 1.0], np.float32),
        )
    )
    assert groups["side"] == ["right", "right", "left", "left"]
    assert groups["size"] == ["below 10 %", "10–20 %", "20–40 %", "above 40 %"]
    assert groups["view"] == ["palm", "back", "edge-on", "back"]
    assert groups["pose"] == ["open", "open", "open", "fist"]
    assert groups["cover"] == ["more than half hidden", "partly hidden"] + ["in plain view"] * 2
    assert groups["skin"] == [""] * 4


def perfect_hands(truth):
    count = len(truth.box)
    return Hands(
        score=np.full(count, 0.9, np.float32),
        right_probability=truth.is_right.astype(np.float32),
        box=truth.box,
        keypoints_2d=truth.keypoints_2d,
        joints=truth.joints,
        vertices=truth.vertices,
        rotations=np.tile(np.eye(3, dtype=np.float32), (count, 16, 1, 1)),
        shape=np.zeros((count, 10), np.float32),
        translation=truth.joints[:, 0],
        colors=np.zeros_like(truth.vertices),
        scale_source=np.zeros(count, np.uint8),
    )


def test_groups_share_the_hands_among_them(sample):
    sample = sample.replace(visible_fraction=np.ones(4, np.float32))
    truth = true_hands(sample, HandModel(HandTemplate.bundled()))
    metrics = GroupMetrics(0.5)
    found = perfect_hands(truth)[np.arange(4) != 2]
    metrics.update(found, truth, sample)
    summary = metrics.summary()
    counted = int((~truth.ignored).sum())
    for kind, groups in summary.items():
        assert sum(figures["hands"] for figures in groups.values()) == counted, kind
    missed = "right" if truth.is_right[2] else "left"
    assert summary["side"][missed]["recall"] < 1
    other = "left" if truth.is_right[2] else "right"
    if other in summary["side"]:
        assert summary["side"][other]["recall"] == 1
    for kind, groups in summary.items():
        assert list(groups) == [name for name in GROUPS[kind] if name in groups]
    assert "| side: right |" in format_groups(summary)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handmesh_ros.hand.hands import Hands
from handmesh_ros.training.evaluation.metrics import (
    Metrics,
    TrueHands,
    average_precision,
    box_iou,
    f_score,
    match,
    pck_auc,
    procrustes,
    recall_at_precision,
)


def rotation(random):
    q, _ = np.linalg.qr(random.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 5))
def test_procrustes_undoes_a_similarity(seed, scale):
    random = np.random.default_rng(seed)
    points = random.normal(size=(21, 3))
    moved = scale * points @ rotation(random).T + random.normal(size=3)
    np.testing.assert_allclose(procrustes(moved, points), points, atol=1e-9)


def test_procrustes_does_not_forgive_a_mirrored_hand():
    points = np.random.default_rng(0).normal(size=(21, 3))
    mirrored = points * [-1, 1, 1]
    assert np.linalg.norm(procrustes(mirrored, points) - points, axis=1).mean() > 0.3


def test_procrustes_of_a_flat_hand_is_finite():
    flat = np.random.default_rng(0).normal(size=(2, 21, 3)) * [1, 1, 0]
    assert np.isfinite(procrustes(flat, flat)).all()


def test_box_iou_known_values():
    boxes = np.array([[0.0, 0, 2, 2]])
    others = np.array([[0.0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]])
    np.testing.assert_allclose(box_iou(boxes, others), [[1, 1 / 3, 0]])


def test_f_score_and_auc_known_values():
    points = np.zeros((4, 3))
    target = np.array([[0.0, 0, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0]])
    assert f_score(points, points, 0.005) == 1
    assert f_score(points, target, 0.005) == pytest.approx(2 / 3)
    assert pck_auc(np.zeros(5)) == pytest.approx(1)
    assert pck_auc(np.full(5, 60.0)) == 0


def test_average_precision_known_values():
    assert average_precision(np.array([0.9, 0.8]), np.array([True, True]), 2) == 1
    assert average_precision(np.array([0.9, 0.8]), np.array([False, True]), 1) == pytest.approx(
        0.5
    )
    half = average_precision(np.array([0.9]), np.array([True]), 2)
    assert half == pytest.approx(51 / 101)


def found(boxes, scores, joints=None, right=None, keypoints=None):
    count = len(boxes)
    hands = Hands.empty(778)
    fields = {name: getattr(hands, name) for name in hands.__dataclass_fields__}
    fields = {
        name: np.zeros((count, *values.shape[1:]), values.dtype) for name, values in fields.items()
    }
    fields["box"] = np.asarray(boxes, np.float32)
    fields["score"] = np.asarray(scores, np.float32)
    if joints is not None:
        fields["joints"] = joints
    if right is not None:
        fields["right_probability"] = np.asarray(right, np.float32)
    if keypoints is not None:
        fields["keypoints_2d"] = keypoints
    return Hands(**fields)


def truth(boxes, joints=None, ignored=None):
    count = len(boxes)
    return TrueHands(
        is_right=np.ones(count, bool),
        box=np.asarray(boxes, float).reshape(count, 4),
        keypoints_2d=np.zeros((count, 21, 2)),
        keypoints_counted=np.ones((count, 21), bool),
        has_3d=np.full(count, joints is not None),
        joints=np.zeros((count, 21, 3)) if joints is None else joints,
        vertices=np.zeros((count, 778, 3)),
        colors=np.full((count, 778, 3), 0.5),
        ignored=np.zeros(count, bool) if ignored is None else np.asarray(ignored),
        width=200,
        height=100,
    )


def test_a_hand_is_matched_once_and_the_better_score_wins():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 11]]
    truth_box = np.array([[0.0, 0, 10, 10]])
    assert match(np.array([0.4, 0.9]), np.array(boxes), truth_box, 0.5).tolist() == [-1, 0]


def test_what_lies_outside_the_image_does_not_count():
    metrics = Metrics(threshold=0.5)
    metrics.update(found([[150, 50, 210, 110]], [0.9]), truth([[150, 50, 400, 300]]))
    summary = metrics.summary()
    assert summary["recall"] == summary["precision"] == 1
    assert summary["recall_whole"] == summary["precision_whole"] == 0


def test_counts_hits_misses_and_false_hands():
    metrics = Metrics(threshold=0.5)
    there = [[0, 0, 10, 10], [50, 50, 60, 60]]
    guess = found([[0, 0, 10, 10], [80, 80, 90, 90]], [0.9, 0.8], right=[0.9, 0.9])
    metrics.update(guess, truth(there))
    summary = metrics.summary()
    assert summary["recall"] == 0.5 and summary["precision"] == 0.5
    assert summary["handedness"] == 1 and summary["false_per_image"] == 1
    assert summary["pa_mpjpe_mm"] is None


def test_recall_at_a_precision_is_that_of_the_best_threshold():
    score = np.array([0.5, 0.9, 0.8, 0.7, 0.6])
    correct = np.array([True, True, False, True, True])
    assert recall_at_precision(score, correct, 5, 1.0) == 0.2
    assert recall_at_precision(score, correct, 5, 0.75) == 0.8
    assert recall_at_precision(score[2:3], correct[2:3], 5, 0.5) == 0
    assert recall_at_precision(score[:0], correct[:0], 0, 0.5) == 0


def test_weak_detections_count_for_average_precision_only():
    metrics = Metrics(threshold=0.5)
    metrics.update(found([[0, 0, 10, 10]], [0.3]), truth([[0, 0, 10, 10]]))
    summary = metrics.summary()
    assert summary["recall"] == 0 and summary["ap50"] == 1


def test_ignored_hands_cost_nothing():
    metrics = Metrics(threshold=0.5)
    there = truth([[0, 0, 10, 10]], ignored=[True])
    metrics.update(found([[0, 0, 10, 10]], [0.9]), there)
    assert metrics.summary()["hands"] == 0 and metrics.summary()["false_per_image"] == 0


def test_a_find_in_an_image_without_hands_is_false():
    metrics = Metrics(threshold=0.5)
    metrics.update(found([[0, 0, 10, 10]], [0.9]), truth(np.zeros((0, 4))))
    assert metrics.summary()["false_per_image"] == 1


def test_missing_a_hand_costs_more_than_finding_it():
    joints = np.random.default_rng(0).normal(scale=0.05, size=(1, 21, 3))
    good, bad = Metrics(0.5), Metrics(0.5)
    there = truth([[0, 0, 10, 10]], joints=joints)
    good.update(found([[0, 0, 10, 10]], [0.9], joints=joints + 0.2), there)
    bad.update(found(np.zeros((0, 4)), []), there)
    assert good.summary()["covered_mpjpe_mm"] == pytest.approx(0, abs=1e-4)
    assert good.summary()["wrist_median_mm"] == pytest.approx(1000 * 0.2 * 3**0.5, rel=1e-4)
    assert bad.summary()["covered_mpjpe_mm"] > 20


def test_pck_is_relative_to_the_box():
    keypoints = np.full((1, 21, 2), 0.0, np.float32)
    keypoints[:, :10, 0] = 1.5
    metrics = Metrics(0.5)
    metrics.update(found([[0, 0, 10, 10]], [0.9], keypoints=keypoints), truth([[0, 0, 10, 10]]))
    summary = metrics.summary()
    assert summary["pck@0.1"] == pytest.approx(11 / 21) and summary["pck@0.2"] == 1


def test_the_colour_error_is_that_of_the_mean_in_parts_of_255():
    there = truth([[0, 0, 10, 10]], joints=np.random.default_rng(0).normal(0, 0.1, (1, 21, 3)))
    metrics = Metrics(threshold=0.5)
    metrics.update(found([[0, 0, 10, 10]], [0.9], joints=there.joints), there)  # black for grey
    assert metrics.summary()["color_error"] == pytest.approx(127.5)

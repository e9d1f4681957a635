"""Our official figures against the published evaluation code's formulas, on random hands."""

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from handmesh_ros.training.evaluation.metrics import procrustes
from handmesh_ros.training.evaluation.official_metrics import (
    Alignment,
    PalmScores,
    SingleHandScores,
    TwoHandScores,
)

HANDS = 8
CLOSE = 1e-6
HO3D_MIDDLE_MCP = 9
"""In our order; HO-3D's own code indexes it as 4, in MANO's order."""


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    joints = rng.normal(0, 0.04, (HANDS, 21, 3)) + [0, 0, 0.6]
    vertices = rng.normal(0, 0.04, (HANDS, 90, 3)) + [0, 0, 0.6]
    noisy = joints + rng.normal(0, 0.012, joints.shape) + [0.01, 0, 0.05]
    noisy[:3, :, 0] *= -1  # mirrored hands, which the official alignment takes for right
    noisy_vertices = vertices + rng.normal(0, 0.006, vertices.shape)
    noisy_vertices[:3, :, 0] *= -1
    return noisy, noisy_vertices, joints, vertices


def official_alignment(target, points):
    """What FreiHAND's eval.py does: centred, normalised, turned, scaled back."""
    mean, other_mean = target.mean(0), points.mean(0)
    centred, other = target - mean, points - other_mean
    norm = np.linalg.norm(centred) + 1e-8
    centred = centred / norm
    other_norm = np.linalg.norm(other) + 1e-8
    other = other / other_norm
    rotation, gain = orthogonal_procrustes(centred, other)
    return (other @ rotation.T) * gain * norm + mean, (rotation, gain, norm, mean - other_mean)


def official_free_mesh(vertices, transformation):
    rotation, gain, norm, shift = transformation
    mean = vertices.mean(0)
    return (vertices - mean) @ rotation.T * gain * norm + shift + mean


def official_measures(found, truth):
    """EvalUtil: mean and area under the curve per keypoint, then over keypoints."""
    distance = np.linalg.norm(found - truth, axis=-1)
    thresholds = np.linspace(0, 0.05, 100)
    areas = []
    for keypoint in range(distance.shape[1]):
        curve = np.array([(distance[:, keypoint] <= t).mean() for t in thresholds])
        areas.append(np.trapezoid(curve, thresholds) / 0.05)
    return np.mean(distance.mean(0)), np.mean(areas)


def official_f_score(truth, found, threshold):
    distance = np.linalg.norm(truth[:, None] - found[None], axis=-1)
    precision, recall = (distance.min(axis) < threshold for axis in (1, 0))
    precision, recall = precision.mean(), recall.mean()
    return 2 * recall * precision / (recall + precision) if recall + precision > 0 else 0


def scores_of(data, **options):
    scores = SingleHandScores(**options)
    for sample in zip(*data, strict=True):
        scores.update(*sample)
    return scores.summary()


def test_freihand_figures_with_mano(data):
    joints, vertices, true_joints, true_vertices = data
    figures = scores_of(data, same_mesh=True)
    pairs = {"xyz": (joints, true_joints), "mesh": (vertices, true_vertices)}
    for name, (found, truth) in pairs.items():
        aligned = np.stack([official_alignment(t, f)[0] for t, f in zip(truth, found)])  # noqa: B905
        for key, placed in ((name, found), (f"{name}_al", aligned)):
            mean, area = official_measures(placed, truth)
            assert figures[f"{key}_mean3d"] == pytest.approx(mean * 100, abs=CLOSE)
            assert figures[f"{key}_auc3d"] == pytest.approx(area, abs=CLOSE)
        strict = np.linalg.norm(procrustes(found, truth) - truth, axis=-1).mean()
        assert figures[f"{name}_al_det1_mean3d"] == pytest.approx(strict * 100, abs=CLOSE)
        assert figures[f"{name}_al_det1_mean3d"] > figures[f"{name}_al_mean3d"] + 0.1
    for threshold in (5, 15):
        plain = [official_f_score(t, f, threshold / 1000) for f, t in zip(vertices, true_vertices)]  # noqa: B905
        assert figures[f"f_score_{threshold}"] == pytest.approx(np.mean(plain), abs=CLOSE)
        aligned = [
            official_f_score(t, official_alignment(t, f)[0], threshold / 1000)
            for f, t in zip(vertices, true_vertices, strict=True)
        ]
        assert figures[f"f_al_score_{threshold}"] == pytest.approx(np.mean(aligned), abs=CLOSE)


def test_freihand_figures_with_another_mesh(data):
    joints, vertices, true_joints, true_vertices = data
    figures = scores_of(data, same_mesh=False)
    assert not any(name.startswith("mesh") for name in figures)
    for threshold in (5, 15):
        expected = [
            official_f_score(
                v, official_free_mesh(w, official_alignment(t, j)[1]), threshold / 1000
            )
            for j, w, t, v in zip(joints, vertices, true_joints, true_vertices, strict=True)
        ]
        assert figures[f"f_al_score_{threshold}"] == pytest.approx(np.mean(expected), abs=CLOSE)


def test_our_alignment_of_a_free_mesh_is_a_similarity(data):
    target, points = data[2][5], data[2][5] * 1.7 @ np.diag([-1.0, -1, 1]) + 0.3
    np.testing.assert_allclose(Alignment.of(points, target, False)(points), target, atol=CLOSE)


def test_reflections_are_allowed_only_when_asked_for(data):
    target = data[2]
    mirrored = target * [-1, 1, 1]
    np.testing.assert_allclose(procrustes(mirrored, target, True), target, atol=CLOSE)
    assert np.linalg.norm(procrustes(mirrored, target) - target, axis=-1).mean() > 0.005


def test_ho3d_scale_and_translation(data):
    joints, _, true_joints, _ = data
    figures = scores_of(data, same_mesh=True, scale_translation=True)
    placed = []
    for found, truth in zip(joints, true_joints, strict=True):
        size = np.sqrt(np.sum(np.square(found[HO3D_MIDDLE_MCP] - found[0])))
        true_size = np.sqrt(np.sum(np.square(truth[HO3D_MIDDLE_MCP] - truth[0])))
        scaled = found / size * true_size
        placed.append(scaled - scaled[:1] + truth[:1])
    mean, area = official_measures(np.stack(placed), true_joints)
    assert figures["xyz_scale_trans_al_mean3d"] == pytest.approx(mean * 100, abs=CLOSE)
    assert figures["xyz_scale_trans_al_auc3d"] == pytest.approx(area, abs=CLOSE)


def test_a_hand_that_was_not_found_costs_what_the_zero_predictor_costs(data):
    zeros = (np.zeros_like(data[0]), np.zeros_like(data[1]))
    figures = scores_of((*zeros, *data[2:]), same_mesh=True, scale_translation=True)
    centred = data[2] - data[2].mean(1, keepdims=True)
    expected = np.linalg.norm(centred, axis=-1).mean() * 100
    assert figures["xyz_al_mean3d"] == pytest.approx(expected, abs=CLOSE)
    assert figures["xyz_mean3d"] > 50


def test_interhand_figures():
    rng = np.random.default_rng(7)
    truth = rng.normal(0, 0.05, (30, 2, 21, 3)) + [0, 0, 0.8]
    found = truth + rng.normal(0, 0.01, truth.shape)
    valid = rng.random((30, 2, 21)) < 0.8
    kinds = ["right", "left", "interacting"] * 10
    scores = TwoHandScores()
    single, interacting, between = [[] for _ in range(42)], [[] for _ in range(42)], []
    for i, kind in enumerate(kinds):
        scores.update(found[i], np.array([True, True]), truth[i], valid[i], kind, True)
        flat_valid = valid[i] * valid[i][:, :1]
        if kind == "interacting" and flat_valid[0, 0] and flat_valid[1, 0]:
            difference = (found[i, 1, 0] - found[i, 0, 0]) - (truth[i, 1, 0] - truth[i, 0, 0])
            between.append(np.sqrt(np.sum(difference**2)) * 1000)
        for hand in range(2):
            for joint in range(21):
                if flat_valid[hand, joint]:
                    pred = found[i, hand, joint] - found[i, hand, 0]
                    true = truth[i, hand, joint] - truth[i, hand, 0]
                    error = np.sqrt(np.sum((pred - true) ** 2)) * 1000
                    (interacting if kind == "interacting" else single)[21 * hand + joint].append(
                        error
                    )
    figures = scores.summary()
    every = [np.mean(a + b) for a, b in zip(single, interacting, strict=True)]
    assert figures["mpjpe_mm"] == pytest.approx(np.mean(every), abs=CLOSE)
    assert figures["mpjpe_single_mm"] == pytest.approx(
        np.mean([np.mean(v) for v in single]), abs=CLOSE
    )
    assert figures["mpjpe_interacting_mm"] == pytest.approx(
        np.mean([np.mean(v) for v in interacting]), abs=CLOSE
    )
    assert figures["mrrpe_mm"] == pytest.approx(np.mean(between), abs=CLOSE)
    assert figures["handedness"] == pytest.approx(1 / 3)


def test_rhd_figures_are_zero_for_the_truth_at_any_size_and_place():
    truth = np.random.default_rng(1).normal(0, 0.05, (5, 21, 3))
    scores = PalmScores()
    for joints in truth:
        scores.update(joints * 1.3 + 0.2, joints, np.ones(21))
    figures = scores.summary()
    assert figures["mean_epe_mm"] == pytest.approx(0, abs=CLOSE)
    assert figures["auc_0_50"] > 0.97 and figures["auc_20_50"] == pytest.approx(1)
    shifted = PalmScores()
    moved = truth[0].copy()
    moved[4] += [0.025, 0, 0]
    shifted.update(moved, truth[0], np.ones(21))
    assert shifted.summary()["mean_epe_mm"] == pytest.approx(25 / 21, abs=CLOSE)


def test_rhd_figures_follow_hand3d():
    rng = np.random.default_rng(3)
    truth = rng.normal(0, 0.05, (9, 21, 3))
    found = truth + rng.normal(0, 0.01, truth.shape)
    scores, errors = PalmScores(), []
    for one, other in zip(found, truth, strict=True):
        scores.update(one, other, np.ones(21))
        one, other = one.copy(), other.copy()
        for joints in (one, other):
            joints[0] = 0.5 * (joints[0] + joints[9])
            joints -= joints[0].copy()
        one *= np.linalg.norm(other[10] - other[9]) / np.linalg.norm(one[10] - one[9])
        errors.append(np.linalg.norm(one - other, axis=1))
    errors = np.stack(errors)
    figures = scores.summary()
    assert figures["mean_epe_mm"] == pytest.approx(errors.mean() * 1000, abs=CLOSE)
    assert figures["median_epe_mm"] == pytest.approx(
        np.median(errors, axis=0).mean() * 1000, abs=CLOSE
    )
    thresholds = np.linspace(0, 0.05, 20)
    curve = np.array([(errors <= t).mean() for t in thresholds])
    for name, first in (("auc_0_50", 0), ("auc_20_50", 8)):
        area = np.trapezoid(curve[first:], thresholds[first:])
        area /= thresholds[-1] - thresholds[first]
        assert figures[name] == pytest.approx(area, abs=CLOSE)

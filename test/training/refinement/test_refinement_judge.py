import numpy as np
import pytest

from handmesh_ros.training.refinement.data import to_batch
from handmesh_ros.training.refinement.judge import calibration, format_figures, judge


def test_perfect_probabilities():
    correct = np.array([True, False, True, False])
    figures = calibration(correct.astype(float), correct)
    assert figures["auc"] == 1
    assert figures["brier"] == figures["ece"] == 0


def test_probabilities_that_say_nothing():
    random = np.random.default_rng(0)
    figures = calibration(random.random(4000), random.random(4000) < 0.5)
    assert figures["auc"] == pytest.approx(0.5, abs=0.03)
    assert figures["ece"] > 0.15


def test_figures_of_an_untrained_network(features, published):
    figures = judge(published, to_batch(features))
    assert figures["all"]["hands"] == len(features["is_hand"])
    assert figures["all"]["pa_mpjpe_mm"] > 5
    assert 0 <= figures["all"]["mesh_pck@.1"] <= 1
    table = format_figures({"made up": figures})
    assert "| all pa_mpjpe_mm |" in table


def test_nothing_to_judge(features, published):
    empty = {name: values[:0] for name, values in features.items()}
    assert judge(published, to_batch(empty)) == {}

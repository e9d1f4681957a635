import numpy as np
import pytest

from handmesh_ros.inference.crops import square_regions
from handmesh_ros.training.refinement.regions import draw_errors, region_errors, spoil_regions


@pytest.fixture
def regions():
    random = np.random.default_rng(0)
    return square_regions(
        random.uniform(50, 400, (30, 2)), random.uniform(40, 300, 30), random.uniform(-3, 3, 30)
    )


def test_regions_are_off_by_the_errors_they_were_given(regions):
    errors = np.random.default_rng(1).normal(size=(30, 4)) * (0.2, 0.2, 0.3, 0.8)
    found = region_errors(spoil_regions(regions, errors), regions)
    np.testing.assert_allclose(found, errors, atol=2e-4)


def test_no_error_leaves_regions_where_they_are(regions):
    np.testing.assert_allclose(spoil_regions(regions, np.zeros((30, 4))), regions, atol=1e-3)


def test_random_errors_are_spread_as_those_of_candidates():
    """Quantiles of 421 candidates of `mobile` on 250 rendered images (docs/training.md)."""
    drawn = np.quantile(draw_errors(20_000, np.random.default_rng(0)), [0.1, 0.5, 0.9], axis=0)
    measured = [
        [-0.047, -0.059, -0.423, -0.277],
        [0.001, 0.003, -0.094, -0.018],
        [0.037, 0.078, 0.111, 0.270],
    ]
    np.testing.assert_array_less(np.abs(drawn - measured), [[0.02, 0.03, 0.14, 0.1]] * 3)


def test_random_errors_have_bounds():
    assert np.abs(draw_errors(20_000, np.random.default_rng(0))).max(0) == pytest.approx(
        [0.175, 0.28, 1.13, 1.95], rel=0.01
    )

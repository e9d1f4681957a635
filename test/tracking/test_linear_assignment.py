from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from handmesh_ros.tracking.linear_assignment import solve_linear_assignment

SHAPES = st.tuples(st.integers(0, 5), st.integers(0, 5))
COSTS = arrays.arrays(float, SHAPES, elements=st.floats(-1e6, 1e6, width=32))


@given(COSTS)
def test_no_other_pairs_cost_less(cost):
    rows, columns = solve_linear_assignment(cost)
    assert len(rows) == len(columns) == min(cost.shape)
    assert (np.diff(rows) > 0).all() and len(set(columns)) == len(columns)
    wide = cost if cost.shape[0] <= cost.shape[1] else cost.T
    least = min(
        sum(wide[row, column] for row, column in enumerate(chosen))
        for chosen in permutations(range(wide.shape[1]), wide.shape[0])
    )
    assert cost[rows, columns].sum() == pytest.approx(least, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (6, 6), (10, 3), (3, 10), (40, 40)])
def test_the_pairs_are_those_of_scipy(shape):
    optimize = pytest.importorskip("scipy.optimize", reason="needs scipy: run `make test`")
    random = np.random.default_rng(7)
    for _ in range(20):
        cost = random.normal(size=shape) * 10
        cost[random.uniform(size=shape) < 0.3] = 1e6
        np.testing.assert_array_equal(
            solve_linear_assignment(cost), optimize.linear_sum_assignment(cost)
        )

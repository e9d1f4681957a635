import numpy as np
import pytest

from handmesh_ros.hand.vectors import cross, lengths, units


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3,), (0, 3), (2, 5, 3)])
def test_results_are_those_of_numpy_to_the_last_bit(dtype, shape):
    first, second = np.random.default_rng(4).normal(size=(2, *shape)).astype(dtype)
    np.testing.assert_array_equal(cross(first, second), np.cross(first, second))
    np.testing.assert_array_equal(lengths(first), np.linalg.norm(first, axis=-1))
    assert lengths(first, keepdims=True).shape == (*shape[:-1], 1)


def test_leading_axes_broadcast():
    ones = np.ones((2, 4, 1, 3))
    x = np.array([1.0, 0.0, 0.0])
    np.testing.assert_array_equal(cross(ones, x), np.broadcast_to([0.0, 1.0, -1.0], ones.shape))


def test_a_zero_vector_has_no_direction():
    np.testing.assert_array_equal(
        units(np.array([[3.0, 0, 4], [0, 0, 0]])), [[0.6, 0, 0.8], [0] * 3]
    )

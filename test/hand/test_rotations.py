import cv2
import numpy as np
import pytest

from handmesh_ros.hand.rotations import (
    from_rotation_vectors,
    inverse,
    matrices,
    multiply,
    quaternions,
    rotation_vectors,
)


def turn(axis: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """A rotation as matrix, by OpenCV's formula of Rodrigues, and as quaternion x, y, z, w."""
    axis = axis / np.linalg.norm(axis)
    quaternion = np.array([*(np.sin(angle / 2) * axis), np.cos(angle / 2)])
    return cv2.Rodrigues(axis * angle)[0], quaternion


@pytest.mark.parametrize("angle", [0.0, 1e-6, 0.7, 2.5, np.pi - 1e-6, np.pi])
@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.6, 0.8, 0), (-1, 2, 3)])
def test_quaternions_and_matrices_agree_with_the_axis_and_angle(axis, angle):
    matrix, expected = turn(np.array(axis, float), angle)
    found = quaternions(matrix)
    assert abs(found @ expected) == pytest.approx(1.0)
    assert found[3] >= 0
    np.testing.assert_allclose(matrices(found), matrix, atol=1e-9)


def test_quaternions_keep_leading_axes():
    assert quaternions(np.tile(np.eye(3), (2, 16, 1, 1))).shape == (2, 16, 4)


def test_products_and_inverses_are_those_of_the_matrices():
    random = np.random.default_rng(1)
    first, second = from_rotation_vectors(random.normal(size=(2, 5, 3)))
    product = matrices(multiply(first, second))
    np.testing.assert_allclose(product, matrices(first) @ matrices(second), atol=1e-12)
    identity = np.tile(np.eye(3), (5, 1, 1))
    np.testing.assert_allclose(matrices(multiply(first, inverse(first))), identity, atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-4, 1.0, np.pi - 1e-6])
def test_logarithm_and_exponential_undo_each_other(angle):
    vector = angle * np.array([0.6, 0.0, -0.8])
    quaternion = from_rotation_vectors(vector)
    assert np.linalg.norm(quaternion) == pytest.approx(1.0)
    np.testing.assert_allclose(rotation_vectors(quaternion), vector, atol=1e-9)
    np.testing.assert_allclose(rotation_vectors(-quaternion), vector, atol=1e-9)

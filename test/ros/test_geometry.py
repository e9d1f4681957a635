import cv2
import numpy as np
import pytest

from handmesh_ros.ros.geometry import matrices, quaternions, wrist_covariance


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


def test_the_covariance_is_largest_along_the_viewing_ray():
    position = np.array([0.2, -0.1, 0.8])
    covariance = wrist_covariance(position, focal_px=600.0)
    values, vectors = np.linalg.eigh(covariance[:3, :3])
    assert abs(vectors[:, 2] @ position) == pytest.approx(np.linalg.norm(position))
    assert values[2] > 10 * values[1] > 0
    assert np.allclose(covariance, covariance.T)


def test_a_wrist_at_the_camera_has_a_finite_covariance():
    assert np.isfinite(wrist_covariance(np.zeros(3), 600.0)).all()

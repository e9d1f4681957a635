import numpy as np
import pytest

from handmesh_ros.ros.conversions.covariance import wrist_covariances


def covariance(position, source=0, age_s=0.0):
    """Of one wrist of a hand of 80 pixels."""
    rows = np.array([position], float), 600.0, np.array([80.0])
    return wrist_covariances(*rows, np.array([source]), np.array([age_s]))[0]


def test_the_covariance_is_largest_along_the_viewing_ray():
    position = np.array([0.2, -0.1, 0.8])
    of_wrist = covariance(position)
    values, vectors = np.linalg.eigh(of_wrist[:3, :3])
    assert abs(vectors[:, 2] @ position) == pytest.approx(np.linalg.norm(position))
    assert values[2] > 10 * values[1] > 0
    assert np.allclose(of_wrist, of_wrist.T)


def test_a_wrist_at_the_camera_has_a_finite_covariance():
    assert np.isfinite(covariance(np.zeros(3))).all()


def test_depth_and_a_fresh_view_are_surer():
    position = np.array([0.1, 0.0, 0.6])
    assert covariance(position, 0)[2, 2] > covariance(position, 2)[2, 2] > 0
    seen, unseen = (covariance(position, 2, age_s) for age_s in (0.0, 0.4))
    assert np.linalg.eigvalsh(unseen[:3, :3] - seen[:3, :3]).min() > 0.1**2


def test_no_hands_have_no_covariances():
    none = np.zeros(0)
    assert wrist_covariances(np.zeros((0, 3)), 600.0, none, none.astype(int), none).shape[0] == 0

import numpy as np
import pytest

from handmesh_ros.ros.geometry import wrist_covariance


def test_the_covariance_is_largest_along_the_viewing_ray():
    position = np.array([0.2, -0.1, 0.8])
    covariance = wrist_covariance(position, focal_px=600.0, size_px=80.0)
    values, vectors = np.linalg.eigh(covariance[:3, :3])
    assert abs(vectors[:, 2] @ position) == pytest.approx(np.linalg.norm(position))
    assert values[2] > 10 * values[1] > 0
    assert np.allclose(covariance, covariance.T)


def test_a_wrist_at_the_camera_has_a_finite_covariance():
    assert np.isfinite(wrist_covariance(np.zeros(3), 600.0, 80.0)).all()


def test_a_better_source_of_scale_and_a_fresh_view_are_surer():
    position = np.array([0.1, 0.0, 0.6])
    along = [wrist_covariance(position, 600.0, 80.0, source)[2, 2] for source in (0, 2)]
    assert along[0] > along[1] > 0
    seen, unseen = (wrist_covariance(position, 600.0, 80.0, 2, age_s) for age_s in (0.0, 0.4))
    assert np.linalg.eigvalsh(unseen[:3, :3] - seen[:3, :3]).min() > 0.1**2

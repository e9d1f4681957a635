import numpy as np
import pytest
import torch
from batches import random_hands

from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.training.data.readers.annotated import sample_of_joints
from handmesh_ros.training.data.readers.fitting import fit_hand_model, fit_samples

SIZE = 128


@pytest.fixture(scope="module")
def hands():
    return random_hands(4, SIZE, seed=3)


def test_left_and_right_hands_are_met(hands):
    fit = fit_hand_model(hands["joints"], hands["is_right"], HandTemplate.bundled())
    assert fit.error.max() < 0.004
    true_vertices = hands["vertices"] - hands["translation"][:, None]
    assert (fit.vertices - true_vertices).norm(dim=-1).mean() < 0.006
    determinant = torch.linalg.det(fit.rotations)
    torch.testing.assert_close(determinant, torch.ones_like(determinant))


def test_samples_get_complete_labels_and_impossible_hands_keep_2d_only(hands, caplog):
    joints = hands["joints"].numpy()
    image = np.full((SIZE, SIZE, 3), (200, 150, 120), np.uint8)
    camera = hands["hand_intrinsics"][0].numpy()
    impossible = joints[1] + np.random.default_rng(0).normal(0, 0.05, (21, 3))
    good = sample_of_joints(image, joints[:1], np.ones(1), camera, source="good")
    bad = sample_of_joints(image, impossible[None], np.zeros(1), camera, source="bad")
    empty = good.select(np.zeros(1, bool))
    fitted, doubtful, none = fit_samples([good, bad, empty], HandTemplate.bundled())
    assert fitted.has_3d.tolist() == [1]
    np.testing.assert_allclose(fitted.box, hands["box"][:1], atol=3)
    assert (fitted.colors == (200, 150, 120)).all()
    assert doubtful.has_3d.tolist() == [0]
    assert not doubtful.joints.any() and not doubtful.rotations.any()
    assert len(none) == 0
    assert "1 of 2 hands keep 2D labels only" in caplog.text

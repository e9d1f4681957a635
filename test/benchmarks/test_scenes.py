import numpy as np
import pytest

from benchmarks.scenes import Actor, Noise, Stage, pose, project
from benchmarks.tracking import identity_scores, run, swing
from handmesh_ros.hand.template import HandTemplate


def test_the_skinning_is_that_of_the_hand_model():
    torch = pytest.importorskip("torch", reason="needs torch: run `make test`")
    from handmesh_ros.hand.model import HandModel
    from handmesh_ros.hand.rotations import from_rotation_vectors, matrices

    template = HandTemplate.bundled()
    rotations = matrices(from_rotation_vectors(np.random.default_rng(0).normal(size=(16, 3)) / 2))
    model = HandModel(template)
    for is_right in (True, False):
        joints, vertices = pose(template, rotations, is_right)
        expected_vertices, expected_joints = model(
            torch.tensor(rotations[None], dtype=torch.float32),
            torch.zeros(1, 10),
            torch.tensor([is_right]),
        )
        np.testing.assert_allclose(joints, expected_joints[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(vertices, expected_vertices[0].numpy(), atol=1e-5)


def test_truth_and_detections_belong_together():
    actor = Actor(True, swing((0.0, 0.0, 0.6), (0.1, 0.0, 0.0), 2.0))
    exact = Noise(*[0.0] * 7)
    for frame in Stage(exact).play([actor], 0.3):
        np.testing.assert_allclose(frame.found.joints, frame.truth.joints, atol=1e-5)
        expected = project(frame.truth.joints)
        np.testing.assert_allclose(frame.found.keypoints_2d, expected, atol=0.01)


def test_a_hand_that_was_away_for_long_is_another_one():
    actor = Actor(True, swing((0.0, 0.0, 0.6), (0.8, 0.0, 0.0), 4.0))
    names = [frame.identity.tolist() for frame in Stage().play([actor], 4.0)]
    assert names[0] == [0] and names[60] == [1] and [] in names


def test_scores_of_a_perfect_report():
    pytest.importorskip("trackeval", reason="needs the extra [benchmark]")
    scores = identity_scores(*run([Actor(True, swing((0, 0, 0.6), (0.1, 0, 0), 2.0))], 1.0))
    assert scores["IDF1"] > 0.9

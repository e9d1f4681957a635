import json

import numpy as np
import pytest
from published_sets import (
    two_hands,
    write_coco_wholebody,
    write_freihand,
    write_ho3d,
    write_interhand,
    write_rhd,
)

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.training.evaluation.official import evaluate_officially


class Oracle:
    """An estimator that knows where the two hands are; or that sees nothing."""

    def __init__(self, joints, shift=0.0, blind=False):
        self.template, self.score_threshold = HandTemplate.bundled(), 0.3
        self.joints, self.shift, self.blind = joints, shift, blind

    def detect(self, image, intrinsics):
        assert self.score_threshold == 0
        if self.blind:
            return Hands.empty()
        return Hands(
            score=np.array([0.9, 0.8], np.float32),
            right_probability=np.array([0.95, 0.1], np.float32),
            box=np.zeros((2, 4), np.float32),
            keypoints_2d=np.zeros((2, 21, 2), np.float32),
            joints=(self.joints + self.shift).astype(np.float32),
            vertices=np.ones((2, 778, 3), np.float32),
            rotations=np.zeros((2, 16, 3, 3), np.float32),
            shape=np.zeros((2, 10), np.float32),
            translation=np.zeros((2, 3), np.float32),
            colors=np.zeros((2, 778, 3), np.float32),
            scale_source=np.zeros(2, np.uint8),
        )


@pytest.fixture(scope="module")
def hands():
    return two_hands()


def test_freihand_and_its_submission(tmp_path, hands):
    write_freihand(tmp_path, hands)
    file = tmp_path / "pred.json"
    oracle = Oracle(hands)
    figures = evaluate_officially(oracle, "freihand", tmp_path, predictions=file)
    assert figures["images"] == figures["found"] == 1
    assert figures["xyz_mean3d"] < 1e-4
    assert oracle.score_threshold == 0.3
    joints, vertices = json.loads(file.read_text())
    np.testing.assert_allclose(joints, hands[[0]], atol=1e-6)
    assert np.shape(vertices) == (1, 779, 3), "a free mesh must not pass for MANO"


def test_ho3d_puts_the_wrist_in_its_place_and_hands_in_opengl(tmp_path, hands):
    write_ho3d(tmp_path, hands)
    file = tmp_path / "pred.json"
    oracle = Oracle(hands, shift=0.1)
    figures = evaluate_officially(oracle, "ho3d", tmp_path, predictions=file)
    assert figures["xyz_mean3d"] < 1e-4 and figures["xyz_scale_trans_al_mean3d"] < 1e-4
    stored = json.loads((tmp_path / "evaluation_xyz.json").read_text())
    np.testing.assert_allclose(json.loads(file.read_text())[0], stored, atol=1e-6)


@pytest.mark.parametrize("write, name", [(write_freihand, "freihand"), (write_ho3d, "ho3d")])
def test_without_published_labels_only_a_submission_is_made(tmp_path, hands, write, name):
    write(tmp_path, hands)
    (tmp_path / "evaluation_xyz.json").unlink()
    with pytest.raises(HandmeshError, match="evaluation_xyz.json is not there"):
        evaluate_officially(Oracle(hands), name, tmp_path)
    file = tmp_path / "pred.json"
    figures = evaluate_officially(Oracle(hands, blind=True), name, tmp_path, predictions=file)
    assert figures == {"images": 1, "found": 0}
    assert not np.any(json.loads(file.read_text())[0])


def test_interhand_counts_what_is_labelled_of_every_image(tmp_path, hands):
    write_interhand(tmp_path, hands, "test")
    figures = evaluate_officially(Oracle(hands), "interhand", tmp_path)
    assert figures["images"] == 3
    assert figures["mpjpe_mm"] == pytest.approx(0, abs=1e-3)
    assert figures["mrrpe_mm"] == pytest.approx(0, abs=1e-3)
    assert figures["handedness"] == pytest.approx(1 / 3)
    blind = evaluate_officially(Oracle(hands, blind=True), "interhand", tmp_path)
    assert blind["mpjpe_mm"] > 40


def test_rhd_judges_the_larger_hand(tmp_path, hands):
    write_rhd(tmp_path, hands, "evaluation")
    figures = evaluate_officially(Oracle(hands), "rhd", tmp_path)
    assert figures["images"] == 2
    assert figures["mean_epe_mm"] == pytest.approx(0, abs=1e-3)


def test_what_cannot_be_asked_for_is_said(tmp_path, hands):
    write_coco_wholebody(tmp_path, hands)
    with pytest.raises(HandmeshError, match="no official protocol for coco-wholebody"):
        evaluate_officially(Oracle(hands), "coco-wholebody", tmp_path)
    with pytest.raises(HandmeshError, match="leave it or --limit out"):
        evaluate_officially(Oracle(hands), "rhd", tmp_path, predictions=tmp_path / "x.json")

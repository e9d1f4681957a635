import numpy as np
import pytest
from drawn_hands import open_hand_keypoints

from handmesh_ros.inference.teacher import Findings, Readings
from handmesh_ros.training.data.readers.teacher_labels import label_findings

HAND = open_hand_keypoints().astype(np.float32)
HEIGHT, WIDTH = 100, 120


def labels(score, keypoints=HAND, gap=0.02, is_same_side=True, right=0.8):
    read = Readings(
        keypoints=np.asarray(keypoints)[None],
        right_probability=np.array([right]),
        presence=np.ones((1, 2)),
        gap=np.array([gap]),
        is_same_side=np.array([is_same_side]),
    )
    found = Findings(read, np.array([score], np.float32))
    return label_findings(found, HEIGHT, WIDTH, strict=0.9, loose=0.2)


def test_a_sure_hand_is_labelled():
    (hand,) = labels(0.95)
    np.testing.assert_array_equal(hand.keypoints, HAND)
    assert hand.is_right and not hand.is_ignored and hand.score == pytest.approx(0.95)
    assert (hand.box[:2] < HAND.min(0)).all() and (hand.box[2:] > HAND.max(0)).all()
    assert not labels(0.95, right=0.2)[0].is_right


@pytest.mark.parametrize("score, count", [(0.89, 1), (0.2, 1), (0.19, 0), (0.0, 0)])
def test_what_is_not_sure_is_ignored_or_background(score, count):
    hands = labels(score)
    assert len(hands) == count
    assert all(hand.is_ignored and hand.keypoints is None for hand in hands)


@pytest.mark.parametrize(
    "doubt",
    [
        {"is_same_side": False},
        {"gap": 0.11},
        {"keypoints": HAND + [WIDTH - HAND[:, 0].mean() + 5, 0]},  # more than half is outside
        {"keypoints": HAND * 0.15 + 20},  # a dozen pixels
    ],
)
def test_a_hand_that_is_sure_but_badly_read_is_ignored(doubt):
    (hand,) = labels(0.99, **doubt)
    assert hand.is_ignored and hand.keypoints is None
    assert np.isfinite(hand.box).all()


def test_no_hands():
    none = Readings(
        np.zeros((0, 21, 2)), np.zeros(0), np.zeros((0, 2)), np.zeros(0), np.zeros(0, bool)
    )
    assert label_findings(Findings(none, np.zeros(0)), 9, 9, strict=0.9, loose=0.2) == []


@pytest.mark.parametrize("shift, scale, count", [(5, 1, 1), (8, 0.4, 1), (60, 1, 2)])
def test_a_doubtful_place_on_a_labelled_hand_is_left_out(shift, scale, count):
    middle = HAND.mean(0)
    other = (HAND - middle) * scale + middle + [shift, 0]
    read = Readings(
        keypoints=np.stack([HAND, other]),
        right_probability=np.array([0.9, 0.9]),
        presence=np.ones((2, 2)),
        gap=np.array([0.02, 0.3]),
        is_same_side=np.ones(2, bool),
    )
    found = Findings(read, np.float32([0.99, 0.5]))
    hands = label_findings(found, 200, 200, strict=0.9, loose=0.2)
    assert [hand.is_ignored for hand in hands] == [False, True][:count]
    doubtful = Findings(read, np.float32([0.5, 0.5]))
    assert len(label_findings(doubtful, 200, 200, strict=0.9, loose=0.2)) == 2

from __future__ import annotations

import numpy as np

from handmesh_ros.inference.duplicates import suppress_duplicates


def hands(*offsets, flip=()):
    """Fans of keypoints in boxes of 100 pixels; hands in `flip` point the other way."""
    fan = np.stack([np.linspace(20, 80, 21), np.linspace(95, 5, 21)], axis=-1)
    keypoints = np.stack(
        [(fan[::-1] if i in flip else fan) + offset for i, offset in enumerate(offsets)]
    )
    boxes = np.array([[*offset, offset[0] + 100, offset[1] + 100] for offset in offsets], float)
    return boxes, keypoints


def test_same_place_is_one_hand():
    assert suppress_duplicates(*hands((0, 0), (3, -2), (200, 0))).tolist() == [0, 2]


def test_neighbours_stay():
    assert suppress_duplicates(*hands((0, 0), (60, 0))).tolist() == [0, 1]


def test_crossing_hands_in_the_same_box_stay():
    assert suppress_duplicates(*hands((0, 0), (2, 2), flip=(1,))).tolist() == [0, 1]


def test_a_suppressed_hand_suppresses_nothing():
    assert suppress_duplicates(*hands((0, 0), (10, 10), (20, 20))).tolist() == [0, 2]


def test_nothing_in_nothing_out():
    assert suppress_duplicates(np.zeros((0, 4)), np.zeros((0, 21, 2))).shape == (0,)


def test_flat_boxes_do_not_divide_by_zero():
    boxes, keypoints = hands((0, 0), (0, 0))
    assert suppress_duplicates(boxes * 0, keypoints * 0).tolist() == [0, 1]

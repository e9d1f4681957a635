import numpy as np

from handmesh_ros.hand.visibility import is_inside, is_unobstructed

SEEN = np.ones(2, bool)


def flat_hand(x: float = 0.0, z: float = 0.6) -> np.ndarray:
    """(21, 3) an open hand parallel to the image."""
    joints = np.zeros((21, 3))
    for finger in range(5):
        for part in range(4):
            joints[1 + 4 * finger + part] = (0.02 * (finger - 2), -0.06 - 0.03 * part, 0.0)
    return joints + [x, 0.0, z]


def test_an_open_hand_is_seen_whole():
    assert is_unobstructed(flat_hand()[None], SEEN[:1]).all()


def test_a_hand_hides_the_one_behind_it():
    seen = is_unobstructed(np.stack([flat_hand(z=0.5), flat_hand(z=0.6) * [1, 1, 1]]), SEEN)
    assert seen[0].all()
    seen = is_unobstructed(np.stack([flat_hand(z=0.4), flat_hand(z=0.4) * 1.5]), SEEN)
    assert seen[0].all() and not seen[1].any()


def test_a_hand_that_the_image_does_not_show_hides_nothing():
    near, far = flat_hand(z=0.4), flat_hand(z=0.4) * 1.5
    hands = np.stack([near, far])
    assert is_unobstructed(hands, np.array([False, True])).all()
    assert not is_unobstructed(hands, np.array([True, False]))[1].any()
    assert is_unobstructed(hands, ~SEEN).all()


def test_a_finger_that_points_away_hides_its_tip():
    hand = flat_hand()
    hand[5:9] = np.linspace([0.0, 0.0, 0.55], [0.0, 0.0, 0.65], 4)
    seen = is_unobstructed(hand[None], SEEN[:1])[0]
    assert seen[5] and not seen[7] and not seen[8]


def test_keypoints_outside_the_image():
    keypoints = np.full((1, 21, 2), 10.0)
    keypoints[0, :4] = [(-0.6, 5), (5, -0.6), (64, 5), (5, 48)]
    assert is_inside(keypoints, (48, 64))[0].tolist() == [False] * 4 + [True] * 17


def test_no_hands():
    assert is_unobstructed(np.zeros((0, 21, 3)), SEEN[:0]).shape == (0, 21)

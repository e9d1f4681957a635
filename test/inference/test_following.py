import numpy as np
import pytest
from inference_fakes import CAMERA, FakeFinder, FakeReader, hand_at, picture

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.following import VideoDetector
from handmesh_ros.inference.refiner import HandRefiner
from handmesh_ros.inference.refining import RefiningEstimator
from handmesh_ros.tracking.video import VideoTracker

HAND = hand_at(150, 200)
SHOWN = picture((150, 200, 255))
NONE = np.zeros((0, 21, 2))


def estimator(score=0.9, spoil=None, **options):
    finder = FakeFinder([HAND], [score])
    return RefiningEstimator(finder, HandRefiner(FakeReader(spoil)), **options)


def full_images(follower, images, expected=HAND[None], rate=30.0, **options):
    """Return which of the images were looked at in full."""
    return [
        follower.detect(
            image, CAMERA, index / rate, expected if index else NONE, **options
        ).is_full
        for index, image in enumerate(images)
    ]


def test_known_hands_are_followed_and_every_fourth_image_is_looked_at():
    follower = VideoDetector(estimator())
    assert full_images(follower, [SHOWN] * 9) == [True, False, False, False] * 2 + [True]


@pytest.mark.parametrize(("rate", "longest"), [(60, 0.15), (30, 0.15), (15, 0.15), (10, 0.15)])
def test_new_hands_wait_for_less_than_150_ms(rate, longest):
    full = full_images(VideoDetector(estimator()), [SHOWN] * 40, rate=rate, look_every=100)
    gaps = np.diff(np.flatnonzero(full)) / rate
    assert gaps.max() <= max(longest, 1 / rate) + 1e-9


def test_with_nothing_to_follow_every_image_is_looked_at():
    assert all(full_images(VideoDetector(estimator()), [SHOWN] * 5, expected=NONE))
    assert all(full_images(VideoDetector(estimator()), [SHOWN] * 5, look_every=1))


def test_a_hand_that_is_gone_is_looked_for_at_once():
    follower = VideoDetector(estimator())
    gone = [SHOWN, SHOWN, picture(), SHOWN]
    assert full_images(follower, gone) == [True, False, True, False]


def test_a_hand_that_is_hardly_seen_is_looked_for_but_not_in_every_image():
    dim = picture((150, 200, 100))
    follower = VideoDetector(estimator())
    assert full_images(follower, [SHOWN] + [dim] * 5) == [
        True,
        False,
        True,
        False,
        True,
        False,
    ]


def test_more_hands_than_may_be_refined_are_not_followed():
    many = np.stack([HAND, hand_at(400, 200)])
    follower = VideoDetector(estimator(max_refined_hands=1))
    assert all(full_images(follower, [SHOWN] * 4, expected=many))


def test_stamps_that_stand_still_or_go_back_end_following():
    follower = VideoDetector(estimator())
    full = [
        follower.detect(SHOWN, CAMERA, t, HAND[None]).is_full for t in (5, 5.03, 5.03, 1.0, 1.03)
    ]
    assert full == [True, False, False, True, False]


def test_a_failing_network_is_said_and_leaves_the_finder_s_hands():
    state = {"calls": 0}

    def fail(outputs):
        state["calls"] += 1
        if state["calls"] > 2:
            raise HandmeshError("Out of memory.")

    estimating = estimator(spoil=fail)
    follower = VideoDetector(estimating)
    found = [follower.detect(SHOWN, CAMERA, t / 30, HAND[None] if t else NONE) for t in range(3)]
    assert [len(each.hands) for each in found] == [1, 1, 1]
    assert [each.hands.refined[0] for each in found] == [True, False, False]
    assert estimating.problem == "Out of memory."


def test_without_a_refinement_network_every_image_is_looked_at():
    assert all(full_images(VideoDetector(FakeFinder([HAND], [0.9])), [SHOWN] * 3))
    estimating = estimator()
    estimating.refine = False
    assert all(full_images(VideoDetector(estimating), [SHOWN] * 3))


def test_a_moving_hand_is_followed_with_one_id_and_lost_when_it_is_gone():
    finder = FakeFinder([HAND], [0.9])
    tracker = VideoTracker(RefiningEstimator(finder, HandRefiner(FakeReader())), look_every=100)
    seen = []
    for step in range(20):
        x = 150 + 8 * step
        finder.hands = finder.hands.replace(keypoints_2d=hand_at(x, 200)[None])
        tracked = tracker.update(picture((x, 200, 255)), CAMERA, step / 30)
        seen.append(tracker.detection.is_full)
        assert tracked.track_id.tolist() == [1] and tracked.state.tolist() == [0]
        error = tracked.hands.keypoints_2d[0].mean(0)[0] - x
        assert abs(error) < 12
    assert not all(seen[:4]) and np.mean(seen) < 0.4
    finder.hands = finder.hands[:0]
    states = [
        tracker.update(picture(), CAMERA, (20 + step) / 30).state.tolist() for step in range(30)
    ]
    assert states[0] == [1] and [2] in states and states[-1] == []
    assert finder.calls >= 30


def test_after_a_reset_nothing_is_followed():
    tracker = VideoTracker(estimator())
    ids = []
    for step in range(4):
        if step == 2:
            tracker.reset()
        ids.append(tracker.update(SHOWN, CAMERA, step / 30).track_id.max())
    assert ids == [1, 1, 2, 2] and tracker.detection.is_full is False

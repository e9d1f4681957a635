"""Single wrong stamps are no jump of the clock; real jumps stay what they are."""

import pytest

pytest.importorskip("builtin_interfaces", reason="needs ROS 2: run `make test`")

from builtin_interfaces.msg import Time

from handmesh_ros.hand.hands import Hands
from handmesh_ros.ros.conversions.stamps import CaptureTimes
from handmesh_ros.tracking.tracker import Tracker

pytestmark = pytest.mark.ros

STEP_S = 0.04


def play(stamps_s, clock_s=None):
    """Return the corrected stamps, seconds, and what a tracker says of them."""
    said = []
    times, tracker = CaptureTimes(), Tracker(said.append)
    corrected = []
    for index, stamp_s in enumerate(stamps_s):
        now_s = 5000.0 + STEP_S * index if clock_s is None else clock_s[index]
        sec = int(stamp_s // 1)
        stamp = times.correct(Time(sec=sec, nanosec=round(1e9 * (stamp_s - sec))), now_s)
        corrected.append(stamp.sec + 1e-9 * stamp.nanosec)
        tracker.update(Hands.empty(), corrected[-1])
    return corrected, said


GOOD_S = [100.0 + STEP_S * index for index in range(6)]


@pytest.mark.parametrize("wrong_s", [[0.0], [0.0, 0.0], [-7.0], [2e9], [0.0, 2e9]])
def test_wrong_stamps_between_good_ones_are_no_jump(wrong_s):
    stamps_s = [*GOOD_S[:2], *wrong_s, *GOOD_S[2 + len(wrong_s) :]]
    corrected, said = play(stamps_s)
    assert corrected == pytest.approx(GOOD_S) and not said


def test_images_without_stamps_take_the_node_s_time():
    corrected, said = play([0.0, -1.0, 0.0])
    assert corrected == pytest.approx([5000.0, 5000.04, 5000.08]) and not said


def test_a_bag_that_begins_again_is_a_jump_at_once():
    stamps_s = [100.0, 100.04, 50.0, 50.04]
    corrected, said = play(stamps_s)
    assert corrected == pytest.approx(stamps_s)
    assert len(said) == 1 and "jumped back by 50" in said[0]


def test_a_clock_that_is_set_forward_is_a_jump_one_image_later():
    corrected, said = play([100.0, 100.04, 150.0, 150.04])
    assert corrected == pytest.approx([100.0, 100.04, 100.08, 150.04])
    assert len(said) == 1 and "jumped forward by 50" in said[0]


def test_a_jump_that_simulated_time_shows_too_is_one_at_once():
    stamps_s = [100.0, 100.04, 150.0]
    corrected, said = play(stamps_s, clock_s=[100.01, 100.05, 150.01])
    assert corrected == pytest.approx(stamps_s) and len(said) == 1


def test_a_pause_is_nothing_wrong():
    stamps_s = [100.0, 100.04, 3700.0]
    assert play(stamps_s, clock_s=[5000.0, 5000.04, 8600.0])[0] == pytest.approx(stamps_s)


@pytest.mark.parametrize("first", [2**31 - 1, -(2**31)])
def test_times_at_the_end_of_the_range_stay_in_it(first):
    """Where fields are checked (Humble, ROS_PYTHON_CHECK_FIELDS) others are an AssertionError."""
    times = CaptureTimes()
    times.correct(Time(sec=first, nanosec=999_999_999), 1000.0)
    for now_s in (1002.0, 900.0, 1e12, -5.0):
        later = times.correct(Time(), now_s)
        assert 0 <= later.sec < 2**31 and 0 <= later.nanosec < 10**9

"""The tracker behind the node: clocks that jump, cameras that share a topic."""

import pytest

pytest.importorskip("std_msgs.msg", reason="needs ROS 2: run `make test`")

from std_msgs.msg import Header

from handmesh_ros.hand.hands import State
from handmesh_ros.ros.pacing import Throttle
from handmesh_ros.ros.parameters.schema import Parameters
from handmesh_ros.ros.tracking import HandTracking

SIZE = (48, 64)


def header(seconds: float, frame_id: str = "camera") -> Header:
    made = Header(frame_id=frame_id)
    made.stamp.sec, made.stamp.nanosec = divmod(round(1e9 * seconds), 10**9)
    return made


class Follower:
    """Feeds a tracking with the same hands again and again, and keeps what it says."""

    def __init__(self, hands) -> None:
        self.hands, self.said = hands, []
        self.tracking = HandTracking(self.said.append)

    def __call__(self, at: Header, size=SIZE, **parameters) -> list[int]:
        now_s = at.stamp.sec + 1e-9 * at.stamp.nanosec
        tracked = self.tracking.update(self.hands, at, size, Parameters(**parameters), now_s=now_s)
        self.lost = sorted(tracked.track_id[tracked.state == State.LOST].tolist())
        seen = tracked.observation >= 0
        return sorted(tracked.track_id[seen].tolist())


@pytest.fixture
def follow(two_hands) -> Follower:
    return Follower(two_hands)


def test_a_bag_that_loops_resets_once_each_time(follow):
    for lap in range(3):
        ids = [follow(header(100 + 0.1 * number)) for number in range(5)]
        assert ids == [[2 * lap + 1, 2 * lap + 2]] * 5
    assert len(follow.said) == 2
    assert all("jumped back by 0.4 s" in text for text in follow.said)


@pytest.mark.parametrize(
    ("other", "size", "words"),
    [
        ("left", SIZE, "'camera' with 64×48 pixels and of 'left' with 64×48"),
        ("camera", (96, 128), "'camera' with 64×48 pixels and of 'camera' with 128×96"),
    ],
)
def test_two_cameras_that_take_turns_on_one_topic_are_one_sentence(follow, other, size, words):
    for number in range(0, 10, 2):
        follow(header(100 + 0.1 * number))
        follow(header(100.1 + 0.1 * number, other), size)
    throttle = Throttle(period_s=5.0)
    said = [text for text in follow.said if throttle.allows(text, 0.0)]
    assert len(said) == 1 and words in said[0]


def test_one_switch_of_resolution_is_no_second_camera(follow):
    for number in range(3):
        assert follow(header(100 + 0.1 * number)) == [1, 2]
    for number in range(3, 90):
        assert follow(header(100 + 0.1 * number), (96, 128)) == [3, 4]
    for number in range(90, 93):  # and back after a while
        assert follow(header(100 + 0.1 * number)) == [5, 6]
    assert not follow.said


@pytest.mark.parametrize(
    "changes",
    [{"frame_id": "left"}, {"size": (96, 128)}, {"track": False}, {"pause": True}],
)
def test_hands_that_end_with_their_images_are_lost_once(follow, changes):
    for number in range(5):
        follow(header(100 + 0.1 * number))
    if changes.pop("pause", False):
        follow.tracking.pause()
    frame_id = changes.pop("frame_id", "camera")
    ids, lost = [], []
    for number in range(5, 8):
        ids.append(follow(header(100 + 0.1 * number, frame_id), **changes))
        lost.append(follow.lost)
    assert ids == [[0, 0] if changes.get("track") is False else [3, 4]] * 3
    assert lost == [[1, 2], [], []]


@pytest.mark.parametrize(("track", "ids"), [(True, [1]), (False, [0])])
def test_at_most_so_many_hands_come_out(follow, track, ids):
    for number in range(3):
        assert follow(header(100 + 0.1 * number), track=track, max_hands=1) == ids


def test_without_tracking_nothing_is_said(follow):
    assert follow(header(100.0), track=False) == [0, 0]
    assert follow(header(50.0, "other"), track=False) == [0, 0]
    assert not follow.said

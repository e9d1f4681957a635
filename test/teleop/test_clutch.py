import numpy as np
import pytest

from handmesh_ros.hand.conventions import LEFT, RIGHT
from handmesh_ros.hand.hands import State
from handmesh_ros.teleop.clutch import Clutch, StepLimits
from handmesh_ros.teleop.follower import HandFollower


def turn_about_z(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def test_engaging_does_not_jump_and_releasing_rests():
    clutch = Clutch(position=[0.4, 0.0, 0.3], rotation=turn_about_z(90))
    clutch.follow([1.0, 2.0, 3.0], turn_about_z(30), 0.0)
    np.testing.assert_allclose(clutch.position, [0.4, 0.0, 0.3], atol=1e-12)
    np.testing.assert_allclose(clutch.rotation, turn_about_z(90), atol=1e-12)
    assert clutch.follow([1.1, 2.0, 3.0], turn_about_z(50), 0.1) is None
    np.testing.assert_allclose(clutch.position, [0.5, 0.0, 0.3], atol=1e-12)
    np.testing.assert_allclose(clutch.rotation, turn_about_z(110), atol=1e-12)
    clutch.release()
    assert not clutch.is_engaged
    clutch.follow([-3.0, 0.0, 1.0], turn_about_z(0), 0.2)
    np.testing.assert_allclose(clutch.position, [0.5, 0.0, 0.3], atol=1e-12)
    np.testing.assert_allclose(clutch.rotation, turn_about_z(110), atol=1e-12)
    clutch.follow([-2.9, 0.0, 1.0], turn_about_z(0), 0.3)
    np.testing.assert_allclose(clutch.position, [0.6, 0.0, 0.3], atol=1e-12)


def test_motion_is_turned_into_the_robot_s_base_and_scaled():
    camera = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # x right, y down to x forward, z up
    clutch = Clutch(base_rotation=camera, scale=0.5)
    clutch.follow(np.zeros(3), np.eye(3), 5.0)
    clutch.follow([0.0, -0.2, 0.4], turn_about_z(20), 5.2)
    np.testing.assert_allclose(clutch.position, [0.2, 0.0, 0.1], atol=1e-12)
    turn = clutch.rotation
    assert np.trace(turn) == pytest.approx(1 + 2 * np.cos(np.radians(20)))
    np.testing.assert_allclose(turn @ [1, 0, 0], [1, 0, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("elapsed_s", "moved_m", "turned_deg", "words"),
    [
        (0.4, 0.18, 0, "not seen for 0.400 s, more than 0.25 s"),
        (0.4, 0.0, 0, "not seen for 0.400 s"),
        (0.033, 0.18, 0, "moved 0.180 m in 0.033 s, faster than 3 m/s"),
        (0.033, 0.0, 180, "turned 3.14 rad in 0.033 s, faster than 15 rad/s"),
        (0.0, 0.01, 0, "in 0.000 s"),
        (-2.0, 0.0, 0, "went back by 2.000 s"),
    ],
)
def test_a_step_that_no_hand_makes_moves_nothing_and_the_next_one_does(
    elapsed_s, moved_m, turned_deg, words
):
    clutch = Clutch(position=[0.4, 0.0, 0.3])
    clutch.follow([0.0, 0.0, 0.5], turn_about_z(0), 10.0)
    clutch.follow([0.02, 0.0, 0.5], turn_about_z(5), 10.033)
    position, rotation = clutch.position, clutch.rotation
    problem = clutch.follow(
        [0.02 + moved_m, 0.0, 0.5], turn_about_z(5 + turned_deg), 10.033 + elapsed_s
    )
    assert words in problem
    np.testing.assert_allclose(clutch.position, position, atol=1e-12)
    np.testing.assert_allclose(clutch.rotation, rotation, atol=1e-12)
    after = [0.03 + moved_m, 0.0, 0.5], turn_about_z(5 + turned_deg), 10.066 + elapsed_s
    assert clutch.follow(*after) is None
    np.testing.assert_allclose(clutch.position, position + [0.01, 0.0, 0.0], atol=1e-12)


def test_what_a_quick_hand_does_is_followed_and_limits_can_be_set():
    clutch = Clutch()
    for time_s in (0.0, 0.033, 0.066, 0.166, 0.2):  # 2 m/s and 10 rad/s, two images missing
        turn = turn_about_z(np.degrees(10 * time_s))
        assert clutch.follow([2.0 * time_s, 0.0, 0.5], turn, time_s) is None
    np.testing.assert_allclose(clutch.position, [0.4, 0.0, 0.0], atol=1e-12)
    slow = Clutch(limits=StepLimits(speed_m_s=0.5, turn_rad_s=1.0, gap_s=0.05))
    slow.follow(np.zeros(3), np.eye(3), 0.0)
    assert "0.5 m/s" in slow.follow([0.03, 0.0, 0.0], np.eye(3), 0.033)
    assert "1 rad/s" in slow.follow([0.03, 0.0, 0.0], turn_about_z(10), 0.066)
    assert "0.05 s" in slow.follow([0.03, 0.0, 0.0], turn_about_z(10), 0.166)


def test_no_time_counts_while_it_is_released():
    clutch = Clutch()
    clutch.follow(np.zeros(3), np.eye(3), 0.0)
    clutch.release()
    assert clutch.follow([0.5, 0.0, 0.0], turn_about_z(90), 20.0) is None
    np.testing.assert_allclose(clutch.position, 0.0, atol=1e-12)


class Seen:
    """What a follower reads of a HandMesh or, with `hands`, of a HandMeshArray."""

    def __init__(self, track_id, score=0.9, handedness=RIGHT, state=State.TRACKED):
        self.track_id, self.score = track_id, score
        self.handedness, self.state = handedness, state
        self.hands = [self]


def frame_of(*hands):
    frame = Seen(0)
    frame.hands = list(hands)
    return frame


def test_a_follower_keeps_to_its_hand_until_it_is_gone():
    follower = HandFollower(RIGHT)
    assert follower.follow(frame_of(Seen(1, 0.5), Seen(2, 0.8), Seen(3, 0.9, LEFT))).track_id == 2
    assert follower.follow(frame_of(Seen(1, 0.99), Seen(2, 0.3))).track_id == 2
    assert follower.follow(frame_of(Seen(1), Seen(2, state=State.PREDICTED))) is None
    assert follower.follow(frame_of(Seen(1), Seen(2))).track_id == 2
    assert follower.follow(frame_of(Seen(1), Seen(2, state=State.LOST))).track_id == 1
    assert follower.follow(frame_of(Seen(3, handedness=LEFT))) is None
    assert follower.follow(frame_of()) is None
    unseen = Seen(5, 0.9, state=State.PREDICTED)
    assert follower.follow(frame_of(unseen, Seen(6, 0.4))).track_id == 6, (
        "a hand that is seen comes first"
    )
    assert follower.follow(frame_of(unseen)) is None

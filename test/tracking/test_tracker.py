"""Behaviour of the tracker, on short synthetic scenes."""

import numpy as np
import pytest

from benchmarks.scenes import NO_NOISE, STILL_NOISE, Actor, Noise, Stage
from benchmarks.tracking import swing
from handmesh_ros.hand.hands import Hands, ScaleSource, State
from handmesh_ros.hand.size import calibrated, hand_length, rescaled
from handmesh_ros.teleop.gestures import GestureMemory
from handmesh_ros.tracking.tracker import Tracker
from handmesh_ros.tracking.tracks import Filters

EXACT = NO_NOISE
STEP_S = 1 / 30


def still(x: float, z: float = 0.6):
    return swing((x, 0.0, z), (0.0, 0.0, 0.0), 1.0)


@pytest.fixture(scope="module")
def pair() -> Hands:
    """A right hand on the one side, a left one on the other, without noise."""
    actors = [Actor(True, still(0.12)), Actor(False, still(-0.12), phase=1.0)]
    return next(iter(Stage(EXACT).play(actors, STEP_S))).found


def farther(hands: Hands, factor: list[float]) -> Hands:
    """The same hands, in their own size, at so many times their distance."""
    step = hands.translation * (np.array(factor, np.float32)[:, None] - 1.0)
    return hands.replace(
        translation=hands.translation + step,
        joints=hands.joints + step[:, None],
        vertices=hands.vertices + step[:, None],
    )


def identities(actors: list[Actor], duration_s: float, noise: Noise = EXACT):
    """Which ids each true hand had while it was seen; what the tracker said at each image."""
    tracker, seen, reports = Tracker(), {}, []
    for frame in Stage(noise, seed=4).play(actors, duration_s):
        report = tracker.update(frame.found, frame.stamp_s)
        reports.append(report)
        wrists = report.hands.translation
        for name, wrist in zip(frame.identity, frame.truth.translation, strict=True):
            apart = np.linalg.norm(wrists - wrist, axis=1)
            apart[report.state != State.TRACKED] = np.inf
            if len(apart) and apart.min() < 0.08:
                seen.setdefault(int(name), set()).add(int(report.track_id[apart.argmin()]))
    return seen, reports


def test_ids_begin_at_one_and_stay(pair):
    tracker = Tracker()
    for number in range(5):
        report = tracker.update(pair, number * STEP_S)
    assert sorted(report.track_id.tolist()) == [1, 2]
    assert report.track_id.dtype == np.uint32
    assert (report.state == State.TRACKED).all() and (report.age_s == 0).all()
    np.testing.assert_array_equal(report.observation, [0, 1])


def test_gestures_belong_to_tracks_and_fade_while_a_hand_is_not_seen(pair):
    tracker, alone = Tracker(), GestureMemory()
    for number in range(5):
        report = tracker.update(pair, number * STEP_S, filters=Filters.off())
    ids, seen = np.arange(2), np.ones(2, bool)
    gesture, clear = alone.update(report.hands.joints, ids, seen, 0.0)
    np.testing.assert_array_equal(report.gesture, gesture)
    np.testing.assert_allclose(report.gesture_score, clear, atol=0.05)
    unseen = tracker.update(pair[:0], 10 * STEP_S, filters=Filters.off())
    assert (unseen.state == State.PREDICTED).all() and unseen.gesture.dtype == np.uint8
    order = [unseen.track_id.tolist().index(identity) for identity in report.track_id]
    np.testing.assert_array_equal(unseen.gesture[order], gesture)
    assert (unseen.gesture_score[order] < report.gesture_score).all()
    np.testing.assert_array_equal(report.observed(pair).gesture, gesture)


@pytest.mark.parametrize("other_is_right", [False, True])
def test_ids_survive_a_crossing(other_is_right):
    actors = [
        Actor(True, swing((0.0, 0.05, 0.65), (0.2, 0.0, 0.0), 3.0)),
        Actor(other_is_right, swing((0.0, 0.02, 0.5), (-0.17, 0.03, 0.0), 3.0), phase=2.0),
    ]
    assert identities(actors, 3.2, Noise(false_hands=0.0))[0] in (
        {0: {1}, 1: {2}},
        {0: {2}, 1: {1}},
    )


def test_ids_survive_half_a_second_behind_something():
    def behind(time_s: float) -> bool:
        return 0.6 < time_s < 1.12

    actors = [Actor(True, swing((0.0, 0.0, 0.6), (0.12, 0.0, 0.0), 4.0), behind)]
    seen, reports = identities(actors, 1.6)
    assert seen == {0: {1}}
    hidden = [report for report in reports if report.state[0] == State.PREDICTED]
    assert len(hidden) == 15
    ages = [float(report.age_s[0]) for report in hidden]
    np.testing.assert_allclose(ages, STEP_S * np.arange(1, 16), rtol=1e-4)
    scores = [float(report.hands.score[0]) for report in hidden]
    assert scores == sorted(scores, reverse=True)
    moved = [report.hands.translation[0, 0] for report in hidden]
    assert all(np.diff(moved) > 0), "a predicted hand stands still"


def test_lost_is_said_once_and_the_id_never_comes_back(pair):
    tracker, nothing = Tracker(), pair[[]]
    stamps = iter(STEP_S * np.arange(1000))
    for _ in range(4):
        tracker.update(pair, next(stamps))
    last = tracker.update(pair, next(stamps)).hands.joints
    reports = [tracker.update(nothing, next(stamps), lost_after_s=0.31) for _ in range(15)]
    states = [report.state.tolist() for report in reports]
    assert states[:9] == [[State.PREDICTED] * 2] * 9
    assert states[9] == [State.LOST] * 2
    assert states[10:] == [[]] * 5
    np.testing.assert_allclose(reports[9].hands.joints, last, atol=1e-6)
    assert sorted(tracker.update(pair, next(stamps)).track_id.tolist()) == [3, 4]


def test_a_distance_misjudged_in_one_image_changes_no_id(pair):
    tracker = Tracker()
    for number in range(12):
        before = tracker.update(pair, number * STEP_S)
    after = tracker.update(farther(pair, [1.7, 1.0]), 12 * STEP_S)
    np.testing.assert_array_equal(after.track_id, before.track_id)


def test_a_hand_at_three_times_the_distance_is_another_one(pair):
    tracker = Tracker()
    for number in range(12):
        tracker.update(pair, number * STEP_S)
    report = tracker.update(farther(pair, [3.0, 1.0]), 12 * STEP_S)
    assert report.track_id[report.observation == 0].tolist() == [3]


def test_a_hand_misjudged_before_it_vanishes_does_not_fly_away(pair):
    tracker, hand = Tracker(), pair[:1]
    for number in range(12):
        tracker.update(hand, number * STEP_S)
    for number, factor in ((12, 1.7), (13, 2.0)):
        last = tracker.update(farther(hand, [factor]), number * STEP_S)
    carried = [tracker.update(pair[:0], number * STEP_S).hands for number in range(14, 26)]
    distance = np.array([hands.translation[0, 2] for hands in carried])
    assert (distance < 1.2 * last.hands.translation[0, 2]).all()


def test_a_camera_that_stood_still_ends_the_ids(pair):
    tracker = Tracker()
    for k in range(5):
        before = tracker.update(pair, k / 30)
    within = tracker.update(pair, 4 / 30 + 0.9)
    assert set(within.track_id) == set(before.track_id)
    after = tracker.update(pair, 4 / 30 + 0.9 + 1.1)
    lost = after.state == State.LOST
    assert set(after.track_id[lost]) == set(before.track_id)
    assert set(after.track_id[~lost]).isdisjoint(before.track_id) and (~lost).sum() == len(pair)


@pytest.mark.parametrize(("lost_after_s", "rate_hz"), [(0.0, 30.0), (0.1, 8.0), (0.7, 1.2)])
def test_hands_in_every_image_keep_their_ids_however_short_they_are_waited_for(
    pair, lost_after_s, rate_hz
):
    tracker = Tracker()
    for number in range(6):
        report = tracker.update(pair, number / rate_hz, lost_after_s=lost_after_s)
    assert report.track_id.tolist() == [1, 2] and (report.state == State.TRACKED).all()
    gone = tracker.update(pair[:1], 6 / rate_hz, lost_after_s=lost_after_s)
    assert (gone.state.tolist() == [State.TRACKED, State.LOST]) == (lost_after_s < 1 / rate_hz)


@pytest.mark.parametrize("apart_m", [0.16, 0.18, 0.2])
def test_still_hands_keep_their_ids_when_one_goes_and_another_comes(apart_m):
    def row(first: int) -> Hands:
        actors = [Actor(True, still(apart_m * place, 1.0)) for place in range(first, first + 4)]
        return next(iter(Stage(EXACT).play(actors, STEP_S))).found

    before, after, tracker = row(-1), row(-2), Tracker()
    for number in range(20):
        report = tracker.update(before, number * STEP_S)
    at = dict(zip(report.track_id.tolist(), report.hands.translation[:, 0], strict=True))
    report = tracker.update(after, 20 * STEP_S)
    seen = report.state == State.TRACKED
    assert seen.sum() == 4
    now = dict(zip(report.track_id[seen].tolist(), report.hands.translation[seen, 0], strict=True))
    stayed = now.keys() & at.keys()
    assert len(stayed) == 3
    assert all(abs(now[identity] - at[identity]) < 0.01 for identity in stayed)


def test_a_hand_seen_once_is_not_carried_on(pair):
    tracker = Tracker()
    tracker.update(pair, 0.0)
    assert (tracker.update(pair[[]], STEP_S).state == State.LOST).all()
    assert len(tracker.update(pair[[]], 2 * STEP_S)) == 0


def test_a_prediction_is_bounded():
    actor = Actor(True, swing((-0.1, 0.0, 0.6), (0.3, 0.0, 0.0), 1.0))
    tracker = Tracker()
    for frame in Stage(EXACT).play([actor], 0.2):
        last = tracker.update(frame.found, frame.stamp_s).hands.translation[0]
    none = frame.found[[]]
    places = [tracker.update(none, 0.2 + 0.05 * i).hands.translation[0] for i in range(1, 12)]
    assert np.linalg.norm(places[-1] - last) < 0.4
    assert np.linalg.norm(places[-1] - places[-2]) < 0.01


def test_poses_can_be_carried_on_to_now():
    actor = Actor(True, swing((0.0, 0.0, 0.6), (0.2, 0.0, 0.0), 4.0))
    behind, ahead = Tracker(), Tracker()
    for frame in Stage(EXACT).play([actor], 0.5):
        late = behind.update(frame.found, frame.stamp_s).hands
        early = ahead.update(frame.found, frame.stamp_s, ahead_s=0.05).hands
    shift = early.translation[0, 0] - late.translation[0, 0]
    assert 0.5 < shift / (0.05 * 0.2 * 2 * np.pi / 4.0) < 1.1


@pytest.mark.parametrize(("jump_s", "word"), [(-3.0, "back"), (60.0, "forward")])
def test_a_clock_that_jumps_resets_with_one_sentence(pair, jump_s, word):
    said: list[str] = []
    tracker = Tracker(said.append)
    for number in range(5):
        tracker.update(pair, 100.0 + number * STEP_S)
    report = tracker.update(pair, 100.0 + jump_s)
    assert len(said) == 1 and word in said[0]
    assert sorted(report.track_id[report.state == State.LOST].tolist()) == [1, 2]
    assert sorted(report.track_id[report.state == State.TRACKED].tolist()) == [3, 4]
    after = tracker.update(pair, 100.0 + jump_s + STEP_S)
    assert sorted(after.track_id.tolist()) == [3, 4] and len(said) == 1


def test_after_a_reset_hands_are_lost_once_and_others_begin(pair):
    tracker = Tracker(pytest.fail)
    for number in range(5):
        tracker.update(pair, number * STEP_S)
    tracker.reset()
    report = tracker.update(pair[:1], 5 * STEP_S)
    assert report.track_id.tolist()[0] == 3 and report.state[0] == State.TRACKED
    assert sorted(report.track_id[report.state == State.LOST].tolist()) == [1, 2]
    assert tracker.update(pair[:1], 6 * STEP_S).track_id.tolist() == [3]


def test_equal_and_overtaken_stamps_change_nothing(pair):
    said: list[str] = []
    tracker = Tracker(said.append)
    for stamp_s in (0.0, 0.0, 0.1, 0.07, 0.13):
        report = tracker.update(pair, stamp_s)
        assert np.isfinite(report.hands.vertices).all()
        assert sorted(report.track_id.tolist()) == [1, 2]
    assert not said


def test_the_side_is_locked_and_its_mesh_held(pair):
    right = pair[np.flatnonzero(pair.right_probability > 0.5)]
    as_left = right.replace(
        right_probability=np.array([0.02], np.float32),
        rotations=np.tile(np.eye(3, dtype=np.float32), (1, 16, 1, 1)),
    )
    tracker = Tracker()
    for number in range(20):
        before = tracker.update(right, number * STEP_S)
    for number in range(20, 24):
        after = tracker.update(as_left, number * STEP_S)
        assert after.hands.handedness[0] == 1
    np.testing.assert_allclose(after.hands.rotations, before.hands.rotations, atol=0.05)
    for number in range(24, 50):
        after = tracker.update(as_left, number * STEP_S)
    assert after.hands.handedness[0] == 0, "a wrong lock cannot be undone"
    assert after.track_id.tolist() == [1]
    np.testing.assert_allclose(after.hands.rotations, as_left.rotations, atol=1e-3)


def test_size_is_averaged_and_keeps_the_picture(pair):
    one, random = pair[:1], np.random.default_rng(0)
    tracker, lengths = Tracker(), []
    for number in range(60):
        sized = rescaled(one, np.exp(random.normal(0.0, 0.1, 1)), one.scale_source)
        found = tracker.update(sized, number * STEP_S, filters=Filters.off()).hands
        ratio = found.joints[..., :2] / found.joints[..., 2:]
        np.testing.assert_allclose(ratio, one.joints[..., :2] / one.joints[..., 2:], atol=1e-3)
        lengths.append(float(hand_length(found.joints)[0]))
    assert np.std(lengths[40:]) < 0.01 * np.mean(lengths)
    assert lengths[-1] == pytest.approx(float(hand_length(one.joints)[0]), rel=0.05)


def test_a_size_measured_by_depth_stays_when_depth_is_gone(pair):
    one, tracker = pair[:1], Tracker()
    measured = rescaled(one, np.array([1.2]), np.array([ScaleSource.DEPTH]))
    for number in range(5):
        report = tracker.update(measured, number * STEP_S)
    assert report.hands.scale_source[0] == ScaleSource.DEPTH
    for number in range(5, 20):
        report = tracker.update(one, number * STEP_S)
    assert report.hands.scale_source[0] == ScaleSource.CALIBRATED
    np.testing.assert_allclose(report.hands.translation, 1.2 * one.translation, rtol=1e-2)


def test_without_filters_hands_come_out_as_they_went_in(pair):
    tracker = Tracker()
    for number in range(3):
        hands = tracker.update(pair, number * STEP_S, filters=Filters.off()).hands
    for name in ("joints", "vertices", "rotations", "keypoints_2d", "box", "translation"):
        np.testing.assert_allclose(
            getattr(hands, name), getattr(pair, name), atol=2e-3, err_msg=name
        )


def test_two_hands_of_one_side_are_two_tracks(pair):
    right = pair[np.flatnonzero(pair.right_probability > 0.5)]
    shift = np.array([-0.25, 0.0, 0.0], np.float32)
    other = right.replace(
        translation=right.translation + shift,
        joints=right.joints + shift,
        vertices=right.vertices + shift,
        keypoints_2d=right.keypoints_2d - np.float32(250.0),
    )
    both, tracker = Hands.joined([right, other]), Tracker()
    for number in range(3):
        report = tracker.update(both, number * STEP_S)
    assert sorted(report.track_id.tolist()) == [1, 2]
    assert (report.hands.handedness == 1).all()


def test_at_most_so_many_hands_are_followed_and_they_do_not_take_turns(pair):
    tracker, random = Tracker(), np.random.default_rng(0)
    for number in range(12):
        score = random.uniform(0.7, 0.9, 2).astype(np.float32)
        hands = pair.replace(score=score)[np.argsort(-score)]
        report = tracker.update(hands, number * STEP_S, max_hands=1)
        assert (report.track_id.tolist(), report.state.tolist()) == ([1], [State.TRACKED])
        assert len(report.observed(hands).hands) == 1
    report = tracker.update(pair, 12 * STEP_S)
    assert sorted(report.track_id.tolist()) == [1, 2]
    report = tracker.update(pair, 13 * STEP_S, max_hands=1)
    assert dict(zip(report.track_id.tolist(), report.state.tolist(), strict=True)) == {
        1: State.TRACKED,
        2: State.LOST,
    }
    assert tracker.update(pair, 14 * STEP_S, max_hands=1).track_id.tolist() == [1]


def test_a_length_measured_anew_is_in_force_at_once(pair):
    tracker = Tracker()
    for number in range(150):
        tracker.update(calibrated(pair, 0.17, 0.15), number * STEP_S, filters=Filters.off())
    hands = tracker.update(calibrated(pair, 0.18, 0.19), 150 * STEP_S, filters=Filters.off()).hands
    found = dict(zip(hands.handedness.tolist(), hand_length(hands.joints).tolist(), strict=True))
    assert found == pytest.approx({0: 0.18, 1: 0.19}, rel=1e-3)


def test_the_length_of_the_other_side_is_not_taken(pair):
    left, tracker = pair[1:], Tracker()
    assert left.handedness.tolist() == [0]
    misread = left.replace(right_probability=1.0 - left.right_probability)
    own_m = hand_length(left.joints)[0]
    for number in range(60):
        hand = misread if number == 30 else left
        report = tracker.update(calibrated(hand, 0.0, 0.15), number * STEP_S)
    assert report.hands.handedness.tolist() == [0]
    assert report.hands.scale_source.tolist() == [ScaleSource.ASSUMED]
    assert hand_length(report.hands.joints)[0] == pytest.approx(own_m, rel=0.01)


def test_a_length_that_is_taken_back_is_forgotten(pair):
    tracker, own_m = Tracker(), hand_length(pair.joints)
    for number in range(30):
        tracker.update(calibrated(pair, 0.15, 0.15), number * STEP_S)
    report = tracker.update(pair, 30 * STEP_S, filters=Filters.off())
    assert report.hands.scale_source.tolist() == [ScaleSource.ASSUMED] * 2
    np.testing.assert_allclose(
        hand_length(report.hands.joints), own_m[report.observation], rtol=0.01
    )


def test_no_hands_at_all():
    tracker = Tracker()
    assert len(tracker.update(Hands.empty(), 0.0)) == len(tracker.update(Hands.empty(), 0.1)) == 0


def test_jitter_shrinks():
    path = still(0.05)
    spread = {}
    for name, filters in (("raw", Filters.off()), ("filtered", Filters())):
        tracker, wrists = Tracker(), []
        for frame in Stage(STILL_NOISE).play([Actor(True, path)], 5.0):
            report = tracker.update(frame.found, frame.stamp_s, filters=filters)
            wrists.append(report.hands.translation[0])
        spread[name] = np.array(wrists[30:]).std(0)
    assert (spread["filtered"] < 0.5 * spread["raw"]).all()


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("stamp_s", [-1e9, 1e9, 4e9])
def test_nothing_is_expected_after_a_jump_of_stamps(pair, stamp_s):
    tracker = Tracker()
    for number in range(5):
        tracker.update(farther(pair, [1 + 0.1 * number] * 2), number * STEP_S)
    assert len(tracker.expected(5 * STEP_S)) == 2
    assert tracker.expected(stamp_s).shape == (0, 21, 2)

"""Hands behind other hands: how long they are waited for, and where they are kept."""

import numpy as np
import pytest

from benchmarks.scenes import NO_NOISE, Actor, Stage
from handmesh_ros.hand.hands import State
from handmesh_ros.tracking.occlusion import PATIENCE
from handmesh_ros.tracking.tracker import Tracker

LOST_AFTER_S = 0.7


def drifting(z: float, speed: float = 0.1):
    """A hand that moves to the right, metres per second."""
    return lambda time_s: np.array([speed * time_s - 0.15, 0.0, z])


def play(hidden, duration_s: float, other_z: float = 0.5, missed=()):
    """What the tracker says of a hand at 0.65 m, hidden as told, with another one before it."""
    actors = [Actor(True, drifting(0.65), hidden), Actor(True, drifting(other_z), phase=0.3)]
    tracker, reports = Tracker(), []
    for number, frame in enumerate(Stage(NO_NOISE).play(actors, duration_s)):
        found = frame.found[[]] if number in missed else frame.found
        reports.append(tracker.update(found, frame.stamp_s, lost_after_s=LOST_AFTER_S))
    truth = frame.truth.translation
    return reports, truth


@pytest.fixture(autouse=True)
def no_cover_but_ours(monkeypatch):
    """The scenes hide only what a test hides."""
    monkeypatch.setattr("benchmarks.scenes._is_covered", lambda hands: np.zeros(len(hands), bool))


def ids(report, state=State.TRACKED):
    return set(report.track_id[report.state == state].tolist())


def test_a_hand_behind_another_keeps_its_id_for_long():
    reports, _ = play(lambda time_s: 0.5 < time_s < 1.7, 2.0)
    assert ids(reports[0]) == ids(reports[-1]) == {1, 2}
    hidden = reports[18:50]
    assert all(report.state.tolist() == [State.TRACKED, State.PREDICTED] for report in hidden)
    ages = [report.age_s[1] for report in hidden]
    scores = [report.hands.score[1] for report in hidden]
    assert np.all(np.diff(ages) > 0) and np.all(np.diff(scores) < 0)


def test_it_is_carried_along_by_what_hides_it():
    reports, truth = play(lambda time_s: time_s > 0.5, 1.8)
    predicted = reports[-1].hands.translation[reports[-1].state == State.PREDICTED][0]
    assert np.linalg.norm(predicted - truth[0]) < 0.06
    image = reports[-1].hands.keypoints_2d[reports[-1].state == State.PREDICTED][0]
    assert np.abs(image[0] - (600.0 * predicted[:2] / predicted[2] + [319.5, 239.5])).max() < 10.0


def test_one_missed_image_of_what_hides_it_does_not_end_it():
    reports, _ = play(lambda time_s: 0.5 < time_s < 1.7, 2.0, missed=(40,))
    assert ids(reports[-1]) == {1, 2}


def test_a_hand_seen_in_few_images_is_not_waited_for():
    reports, _ = play(lambda time_s: time_s > 0.2, 0.2 + LOST_AFTER_S + 0.2)
    assert any(ids(report, State.LOST) for report in reports)


def test_it_is_lost_once_when_it_does_not_come_back():
    reports, _ = play(lambda time_s: time_s > 0.5, 0.6 + PATIENCE * LOST_AFTER_S + 0.3)
    lost = [number for number, report in enumerate(reports) if ids(report, State.LOST)]
    assert len(lost) == 1
    assert lost[0] / 30.0 == pytest.approx(0.5 + PATIENCE * LOST_AFTER_S, abs=0.07)
    assert all(len(report) == 1 for report in reports[lost[0] + 1 :])


def test_a_hand_before_the_other_is_not_hidden_by_it():
    reports, _ = play(lambda time_s: time_s > 0.5, 0.5 + LOST_AFTER_S + 0.2, other_z=0.8)
    assert any(ids(report, State.LOST) for report in reports)


def test_a_hand_that_nothing_hides_is_lost_as_ever():
    def far(time_s):
        return np.array([0.2, 0.0, 0.5])

    actors = [Actor(True, drifting(0.65), lambda time_s: time_s > 0.5), Actor(True, far)]
    tracker, states = Tracker(), []
    for frame in Stage(NO_NOISE).play(actors, 0.5 + LOST_AFTER_S + 0.2):
        states.append(tracker.update(frame.found, frame.stamp_s).state.tolist())
    assert [State.TRACKED, State.LOST] in states

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from inference_fakes import hand_at

from handmesh_ros.inference.effort import Effort
from handmesh_ros.inference.evidence import are_among, distinct, summed_score, two_way_score

PROBABILITIES = st.floats(0, 1)


def score(presence, candidate, trust=0.6, effort=Effort.FAST, **options):
    parts = (np.array([part]) for part in (presence, candidate, trust))
    return float(summed_score(*parts, effort, **options)[0])


@given(PROBABILITIES, PROBABILITIES, PROBABILITIES)
def test_more_evidence_is_never_less_sure(low, high, other):
    low, high = sorted([low, high])
    assert score(low, other) <= score(high, other)
    assert score(other, low) <= score(other, high)
    assert score(other, 0.5, low) <= score(other, 0.5, high)
    assert 0 <= score(low, other) <= 1


def test_each_can_save_or_sink_what_the_other_doubts():
    assert score(0.999, 0.2) > 0.9 and score(0.6, 0.9) > 0.9
    assert score(0.01, 0.3) < 0.5 and score(0.2, 0.13, 0.3) < 0.2


def test_lettering_that_is_sure_to_be_a_hand_without_fingers_is_none():
    assert score(0.97, 0.3, 0.2, Effort.BEST) < 0.45 < 0.9 < score(0.97, 0.3, 0.9, Effort.BEST)


def test_the_more_is_looked_at_the_more_it_takes():
    scores = [score(0.6, 0.4, effort=effort) for effort in Effort]
    assert scores[0] > scores[1] > scores[2] > score(0.6, 0.4, effort=Effort.BEST, is_turned=True)


def test_of_readings_of_one_hand_the_surest_stays():
    fingers = hand_at(205, 195, 45)  # read inside the hand below
    hands = np.stack([hand_at(200, 200), fingers, hand_at(400, 200), hand_at(208, 200)])
    assert distinct(hands, np.array([0.5, 0.9, 0.7, 0.8])).tolist() == [1, 2]
    assert distinct(hands, np.array([0.9, 0.5, 0.7, 0.8])).tolist() == [0, 2]


def test_hands_side_by_side_or_holding_each_other_are_two():
    side_by_side = np.stack([hand_at(200, 200), hand_at(262, 200)])
    assert len(distinct(side_by_side, np.ones(2))) == 2
    crossed = np.stack([hand_at(200, 200), hand_at(200, 200)[:, ::-1] * [1, 1]])
    crossed[1] += [60, 40]
    assert len(distinct(crossed, np.ones(2))) == 2


def test_no_readings():
    none = np.zeros((0, 21, 2))
    assert distinct(none, np.zeros(0)).shape == (0,)
    assert are_among(none, none).shape == (0,)
    assert are_among(hand_at(1, 2)[None], none).tolist() == [False]


def test_are_among_finds_hands_that_are_known():
    known = np.stack([hand_at(200, 200), hand_at(500, 100)])
    found = np.stack([hand_at(204, 203), hand_at(320, 200)])
    assert are_among(found, known).tolist() == [True, False]


def test_keypoints_on_a_line_do_no_harm():
    line = np.stack([np.linspace(0, 100, 21), np.zeros(21)], 1)
    assert len(distinct(np.stack([line, line, line + [0, 300]]), np.array([1, 2, 3]))) == 2


def two_way(presence, candidate, agree=True, is_turned=False):
    values = (np.array([value]) for value in (presence, candidate, agree, is_turned))
    return float(two_way_score(*values)[0])


@given(PROBABILITIES, PROBABILITIES, PROBABILITIES, PROBABILITIES, st.booleans())
def test_more_evidence_of_two_readings_is_never_less_sure(low, high, mirrored, other, agree):
    low, high = sorted([low, high])
    assert two_way((low, mirrored), other, agree) <= two_way((high, mirrored), other, agree)
    assert two_way((mirrored, other), low, agree) <= two_way((mirrored, other), high, agree)
    assert two_way((low, high), other, agree) == two_way((high, low), other, agree)


def test_agreement_and_a_crop_that_was_upright_speak_for_a_hand():
    sure = two_way((0.9, 0.8), 0.4)
    assert sure > two_way((0.9, 0.8), 0.4, agree=False)
    assert sure > two_way((0.9, 0.8), 0.4, is_turned=True)
    assert two_way((0.999, 0.02), 0.3) < 0.9 < two_way((0.999, 0.98), 0.3)

import numpy as np
import pytest

from handmesh_ros.depth.length import MIN_SAMPLES, WINDOW_S, LengthMeter
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import LEFT, RIGHT
from handmesh_ros.hand.hands import Hands, ScaleSource
from handmesh_ros.hand.size import LENGTH_CHAIN, hand_length


def hands_of(lengths, sides, source=ScaleSource.DEPTH):
    """Hands whose middle finger is straight and as long as wanted."""
    count = len(lengths)
    joints = np.zeros((count, 21, 3), np.float32)
    joints[:, LENGTH_CHAIN, 1] = np.linspace(0, 1, 5) * np.array(lengths)[:, None]
    empty = Hands.empty(vertex_count=1)
    blank = {
        name: np.zeros((count, *value.shape[1:]), value.dtype)
        for name, value in vars(empty).items()
    }
    blank["right_probability"] = np.array(sides, np.float32)
    blank["scale_source"] = np.full(count, source, np.uint8)
    return Hands(**{**blank, "joints": joints})


def meter_of(lengths, side=RIGHT, source=ScaleSource.DEPTH):
    meter = LengthMeter()
    for index, length in enumerate(lengths):
        meter.add(hands_of([length], [side], source), index / 30)
    return meter


def test_the_length_is_the_median_of_what_depth_measured():
    lengths = np.full(40, 0.185) + np.random.default_rng(0).normal(0, 0.002, 40)
    lengths[5] = 0.4
    measured = meter_of(lengths).measure(RIGHT, 1.4)
    assert measured.length_m == pytest.approx(0.185, abs=1e-3)
    assert 0 < measured.spread_m < 0.003
    assert measured.count == 40
    assert hand_length(hands_of([0.185], [RIGHT]).joints)[0] == pytest.approx(0.185)


def test_both_sides_are_kept_apart():
    meter = LengthMeter()
    for index in range(20):
        meter.add(hands_of([0.17, 0.19], [LEFT, RIGHT]), index / 30)
    assert meter.measure(LEFT, 0.7).length_m == pytest.approx(0.17)
    assert meter.measure(RIGHT, 0.7).length_m == pytest.approx(0.19)


@pytest.mark.parametrize(
    ("meter", "now_s", "sentence"),
    [
        (meter_of([0.18] * (MIN_SAMPLES - 1)), 0.5, "in 14 images .* set use_depth"),
        (meter_of([0.18] * 30), 1.0 + WINDOW_S, "in 0 images"),
        (meter_of([0.18] * 30, side=LEFT), 1.0, "in 0 images"),
        (meter_of([0.18] * 30, source=ScaleSource.ASSUMED), 1.0, "in 0 images"),
        (meter_of([0.15, 0.21] * 15), 1.0, "scatter by .* hold the open hand still"),
    ],
)
def test_what_is_no_measurement_is_one_sentence(meter, now_s, sentence):
    with pytest.raises(HandmeshError, match=sentence):
        meter.measure(RIGHT, now_s)


def test_two_hands_of_one_side_are_not_mixed():
    meter = meter_of([0.18] * 30)
    meter.add(hands_of([0.18, 0.21], [RIGHT, RIGHT]), 1.0)
    with pytest.raises(HandmeshError, match="two right hands"):
        meter.measure(RIGHT, 1.1)
    for index in range(120):
        meter.add(hands_of([0.18], [RIGHT]), 1.1 + index / 30)
    assert meter.measure(RIGHT, 5.1).length_m == pytest.approx(0.18)

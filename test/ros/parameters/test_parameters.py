from pathlib import Path

import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.parameters.schema import Parameters, to_markdown, to_yaml

ROOT = Path(__file__).resolve().parents[3]


def test_defaults_are_valid():
    Parameters()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"score_threshold": 1.5}, "give 0 to 1"),
        ({"score_threshold": float("nan")}, "give 0 to 1"),
        ({"score_threshold": 1}, "number with a point"),
        ({"marker_rate_hz": 0.0}, "0.1 to 120 Hz"),
        ({"max_hands": -1}, "0 to 100"),
        ({"left_hand_length_m": 0.02}, "0.02: give 0.08 to 0.3 or 0 m"),
        ({"right_hand_length_m": 0.35}, "0.35: give 0.08 to 0.3 or 0 m"),
        ({"right_hand_length_m": -0.1}, "0.08 to 0.3 or 0 m"),
        ({"max_hands": True}, "whole number"),
        ({"backend": "abacus"}, "choose auto or tensorrt"),
        ({"publish_mesh": "yes"}, "boolean"),
    ],
)
def test_impossible_values_are_refused_with_the_reason(changes, words):
    with pytest.raises(HandmeshError, match=words):
        Parameters().replaced(changes)


@pytest.mark.parametrize("length_m", [0.0, 0.08, 0.19, 0.3])
def test_a_hand_may_be_as_long_as_the_service_takes_it_or_not_set(length_m):
    assert Parameters(left_hand_length_m=length_m).left_hand_length_m == length_m


def test_a_snapshot_does_not_change():
    before = Parameters()
    after = before.replaced({"max_hands": 2})
    assert (before.max_hands, after.max_hands) == (0, 2)


def test_every_parameter_is_described():
    for name, (_, setting) in Parameters.settings().items():
        assert setting.description, name
        assert not (setting.range and setting.choices), name


def test_the_written_files_are_those_of_the_schema():
    assert (ROOT / "config" / "detect.yaml").read_text() == to_yaml(), "run `make docs`"
    assert (ROOT / "docs" / "parameters.md").read_text() == to_markdown(), "run `make docs`"

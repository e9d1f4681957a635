"""Any node's parameters: sets of another node than the detector."""

import array
from dataclasses import dataclass
from typing import ClassVar

import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.parameters.parameter_set import ParameterSet, parameter


@dataclass(frozen=True)
class ArmParameters(ParameterSet):
    owner: ClassVar[str] = "arm"

    side: str = parameter("right", "which arm", choices=("left", "right"))
    speed_m_s: float = parameter(1.0, "of the tool", range=(0.1, 2.0), unit="m/s", whole_too=True)
    home: tuple[float, ...] = parameter((0.0, 0.0), "where it rests", whole_too=True)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("side", 1, "side is 1: choose left or right"),
        ("speed_m_s", True, "speed_m_s is True .bool.: give a number"),
        ("speed_m_s", 3, "speed_m_s is 3: give 0.1 to 2 m/s"),
        ("home", [1.0], r"home is \[1.0\]: give 2 finite numbers"),
        ("home", array.array("d", [1.0, float("nan")]), r"home is \[1.0, nan\]: give 2 finite"),
        ("home", ["a", "b"], "give 2 finite numbers"),
        ("home", "ab", "give 2 finite numbers"),
        ("home", 1.0, "give 2 finite numbers"),
    ],
)
def test_impossible_values_are_refused_with_the_reason(name, value, words):
    with pytest.raises(HandmeshError, match=words):
        ArmParameters(**{name: value})


@pytest.mark.parametrize("home", [(1.0, 2.0), [1, 2], array.array("d", [1.0, 2.0])])
def test_numbers_may_come_as_ros_has_them(home):
    assert ArmParameters.find_problem("home", home) is None
    assert ArmParameters.find_problem("speed_m_s", 2) is None


def test_an_unknown_name_leads_to_the_one_that_was_meant_or_to_all():
    assert ArmParameters.describe_unknown("sid") == (
        "arm has no parameter 'sid': did you mean side?"
    )
    assert ArmParameters.describe_unknown("xyz") == (
        "arm has no parameter 'xyz': it has side, speed_m_s, home."
    )

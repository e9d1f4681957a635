"""Sets of ROS parameters as frozen dataclasses: limits, meaning, and a sentence for each mistake.

This module knows nothing of rclpy; `parameter_server` binds a set to a node.
"""

from __future__ import annotations

import array
import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from handmesh_ros.common.arguments import plain
from handmesh_ros.errors import HandmeshError

TYPE_NAMES = {str: "text", bool: "boolean", int: "whole number", float: "number with a point"}
"""What the types of values are called, for people."""


@dataclass(frozen=True)
class Setting:
    """What is known of one parameter besides its name, type and default.

    Attributes:
        description: one line for people.
        unit: of the value; empty where it has none.
        range: inclusive limits of a number; None where every value is possible.
        or_zero: 0 is possible, too, and means that it is not set.
        whole_too: a whole number is taken where the default is a number with a point.
        choices: allowed values of a text; empty where every text is possible.
        read_only: it cannot be changed while the node runs.
    """

    description: str
    unit: str = ""
    range: tuple[float, float] | None = None
    or_zero: bool = False
    whole_too: bool = False
    choices: tuple[str, ...] = ()
    read_only: bool = False

    def constraint(self) -> str:
        """Return what values are possible, for people; empty where every value is."""
        if self.choices:
            return " | ".join(self.choices)
        if self.range is not None:
            low, high = map(plain, self.range)
            return f"{low} to {high}{' or 0' if self.or_zero else ''}"
        return ""


def parameter(default: Any, description: str, **details: Any) -> Any:
    """Return the field of a `ParameterSet`.

    Args:
        default: a text, boolean or number, or a tuple of numbers, which takes as many.
        description: one line for people.
        details: the other attributes of `Setting`.
    """
    setting = Setting(description=description, **details)
    return dataclasses.field(default=default, metadata={"setting": setting})


Set = TypeVar("Set", bound="ParameterSet")


@dataclass(frozen=True)
class ParameterSet:
    """A snapshot of a node's parameters, each a `parameter` of a subclass.

    Attributes:
        owner: whose they are, as sentences begin.
        listed: where they are listed, as a clause; empty lists them in the sentence itself.

    Raises:
        HandmeshError: a value is not possible.
    """

    owner: ClassVar[str]
    listed: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for name in self.settings():
            problem = self.find_problem(name, getattr(self, name))
            if problem is not None:
                raise HandmeshError(problem)

    def replaced(self: Set, changes: Mapping[str, Any]) -> Set:
        """Return a copy with some values changed.

        Raises:
            HandmeshError: a value is not possible.
        """
        return dataclasses.replace(self, **changes)

    @classmethod
    def settings(cls) -> dict[str, tuple[Any, Setting]]:
        """Return default and setting of every parameter by name, in order."""
        return {
            field.name: (field.default, field.metadata["setting"])
            for field in dataclasses.fields(cls)
        }

    @classmethod
    def find_problem(cls, name: str, value: Any) -> str | None:
        """Return why a parameter cannot have this value, as one sentence; None where it can."""
        default, setting = cls.settings()[name]
        shown = value.tolist() if isinstance(value, array.array) else value
        if setting.choices and value not in setting.choices:
            return f"The parameter {name} is {shown!r}: choose {' or '.join(setting.choices)}."
        if isinstance(default, tuple):
            if _are_numbers(shown, len(default)):
                return None
            return f"The parameter {name} is {shown!r}: give {len(default)} finite numbers."
        if type(value) is not type(default) and not (setting.whole_too and type(value) is int):
            return (
                f"The parameter {name} is {shown!r} ({type(value).__name__}): "
                f"give a {TYPE_NAMES[type(default)]}."
            )
        if setting.range is not None and not (setting.or_zero and value == 0):
            low, high = setting.range
            if not math.isfinite(value) or not low <= value <= high:
                unit = f" {setting.unit}" if setting.unit else ""
                return (
                    f"The parameter {name} is {plain(value)}: give {setting.constraint()}{unit}."
                )
        return None

    @classmethod
    def describe_unknown(cls, name: str) -> str:
        """Return, as a sentence, that there is no parameter of this name, and which was meant."""
        likely = difflib.get_close_matches(name, cls.settings(), n=1)
        listed = cls.listed or f"it has {', '.join(cls.settings())}"
        hint = f"did you mean {likely[0]}?" if likely else f"{listed}."
        return f"{cls.owner} has no parameter {name!r}: {hint}"


def _are_numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, (list, tuple))
        and len(values) == count
        and all(type(value) in (int, float) and math.isfinite(value) for value in values)
    )

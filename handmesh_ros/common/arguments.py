"""Types of option values for argparse: what cannot work is refused by the parser."""

from __future__ import annotations

import argparse
import contextlib
import math
import re
from collections.abc import Callable
from typing import TypeVar

from handmesh_ros.errors import HandmeshError

T = TypeVar("T")

N = TypeVar("N", int, float)


def checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Return `parse` for argparse's `type`: its `HandmeshError` becomes the parser's message."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except HandmeshError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def number(low: float, high: float = math.inf) -> Callable[[str], float]:
    """Return an argparse `type` for finite numbers from `low` to `high`."""
    return _within(float, low, high, "a number")


def count(low: int = 1, high: float = math.inf) -> Callable[[str], int]:
    """Return an argparse `type` for whole numbers from `low` to `high`."""
    return _within(int, low, high, "a whole number")


def plain(value: float) -> str:
    """Return a number for people: whole ones with all their digits, others with six."""
    return str(int(value)) if math.isfinite(value) and value == int(value) else f"{value:g}"


def namespace(text: str) -> str:
    """Return a namespace as it is; "" and "/" are none.

    Raises:
        HandmeshError: ROS would not take it.
    """
    if not re.fullmatch(r"/?|/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", text, re.ASCII):
        raise HandmeshError(
            f"The namespace {text!r} is no ROS name: give letters, digits and underscores, with / "
            "between."
        )
    return text


def _within(kind: Callable[[str], N], low: float, high: float, what: str) -> Callable[[str], N]:
    low_text, high_text = plain(low), plain(high)
    allowed = f"of at least {low_text}" if math.isinf(high) else f"from {low_text} to {high_text}"

    def convert(text: str) -> N:
        with contextlib.suppress(ValueError):
            value = kind(text)
            if low <= value <= high and value != math.inf:
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not {what} {allowed}")

    return convert

"""Option values of `handmesh`: one that cannot work is refused by the parser, with exit code 2."""

from __future__ import annotations

import argparse
import contextlib
import math
import re
from collections.abc import Callable
from typing import TypeVar

from handmesh_ros.errors import HandmeshError
from handmesh_ros.runtime.backend import BACKEND_NAMES
from handmesh_ros.runtime.models import BUNDLED_MODELS

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


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Declare `--backend`, what the network runs on."""
    parser.add_argument(
        "--backend",
        choices=("auto", *BACKEND_NAMES),
        default="auto",
        metavar="NAME",
        help=f"auto, {', '.join(BACKEND_NAMES)}",
    )


def add_models(parser: argparse.ArgumentParser) -> None:
    """Declare `--model` and `--detail-model`, the networks."""
    names = ", ".join(BUNDLED_MODELS)
    parser.add_argument(
        "--model", metavar="MODEL", help=f".onnx graph, .ckpt checkpoint, or one of {names}"
    )
    parser.add_argument(
        "--detail-model",
        metavar="MODEL",
        help="the same with a larger input, which looks at every image, too, for small hands",
    )


def _within(kind: Callable[[str], N], low: float, high: float, what: str) -> Callable[[str], N]:
    allowed = f"of at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"

    def convert(text: str) -> N:
        with contextlib.suppress(ValueError):
            value = kind(text)
            if low <= value <= high and value != math.inf:
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not {what} {allowed}")

    return convert

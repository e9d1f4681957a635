"""A progress bar on a terminal, where the package tqdm is installed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def progress(
    items: Iterable[T], what: str | None = None, total: int | None = None, *, unit: str = "it"
) -> Iterable[T]:
    """Return the items, with a progress bar while they are gone through.

    Args:
        items: to go through.
        what: goes before the bar.
        total: number of items where they have no length.
        unit: what they are called.
    """
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    return tqdm(items, what, total, unit=unit, disable=None)

"""Work on many items that are independent of each other, by several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import cv2

from handmesh_ros.common.child_processes import spawn_pool

Item = TypeVar("Item")
Made = TypeVar("Made")

_CHUNK = 8
_make: Callable[[Any], Any] | None = None


def in_processes(
    make: Callable[[Item], Made], items: Sequence[Item], workers: int, fewest: int = 100
) -> Iterator[Made]:
    """Yield what is made of each item, in the items' order.

    Args:
        make: can be pickled; sent to each process once.
        items: can be pickled.
        workers: most processes.
        fewest: items for which a process is worth its start.
    """
    workers = min(workers, len(items) // fewest)
    if workers < 2:
        yield from map(make, items)
        return
    with spawn_pool(workers, _start, (make,)) as pool:
        yield from pool.imap(_call, items, chunksize=_CHUNK)


def _start(make: Callable[[Any], Any]) -> None:
    global _make
    cv2.setNumThreads(1)
    _make = make


def _call(item: Any) -> Any:
    assert _make is not None
    return _make(item)

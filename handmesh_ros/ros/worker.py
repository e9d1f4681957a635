"""A thread that works on the newest item only, so that a slow consumer never builds a queue."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NewestItemWorker(Generic[Item]):
    """Calls `work` on another thread with the newest item; items that it overtakes are dropped.

    Args:
        work: is called with one item at a time. What it raises goes to `on_error`: the thread
            outlives every bad item.
        on_error: is called on the same thread.
    """

    def __init__(
        self, work: Callable[[Item], None], on_error: Callable[[Exception], None]
    ) -> None:
        self._work, self._on_error = work, on_error
        self._condition = threading.Condition()
        self._pending: Item | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="handmesh-worker", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread has not ended."""
        return self._thread.is_alive()

    def put(self, item: Item) -> bool:
        """Hand over an item; return whether an older one was dropped for it."""
        with self._condition:
            dropped = self._pending is not None
            self._pending = item
            self._condition.notify()
        return dropped

    def stop(self, timeout_s: float) -> bool:
        """Let the item in work finish, forget the waiting one; return whether the thread ended."""
        with self._condition:
            self._stopping, self._pending = True, None
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self.is_alive

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopping or self._pending is not None)
                if self._stopping:
                    return
                item, self._pending = self._pending, None
            assert item is not None
            try:
                self._work(item)
            except Exception as error:
                self._on_error(error)

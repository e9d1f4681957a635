"""One loaded model for several estimators of one process, such as the detectors of two cameras."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from handmesh_ros.inference.backends.base import Backend
from handmesh_ros.inference.backends.selection import Opener, open_backend


@dataclass
class _Loaded:
    """A backend, how many use it, and the lock that lets one of them run it at a time."""

    backend: Backend
    users: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class SharedBackends:
    """Loads every model once. Safe between threads.

    Memory and GPU engine exist once; runs take turns, which costs little because one run already
    uses all cores or the whole GPU.

    Args:
        opener: loads a model that nobody has.
    """

    def __init__(self, opener: Opener = open_backend) -> None:
        self._opener = opener
        self._lock = threading.Lock()
        self._loaded: dict[tuple[Path, str, int | None], _Loaded] = {}

    def open(
        self, path: str | Path, backend: str = "auto", *, threads: int | None = None
    ) -> Backend:
        """Return the model, loaded now if nobody has it; see `open_backend`.

        Raises:
            HandmeshError: the model or the backend cannot be used.
        """
        key = (Path(path).resolve(), backend, threads)
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = _Loaded(self._opener(path, backend, threads=threads))
            self._loaded[key].users += 1
            return _Share(self, key, self._loaded[key])

    def give_back(self, key: tuple[Path, str, int | None]) -> None:
        """Free the model if nobody else has it."""
        with self._lock:
            loaded = self._loaded[key]
            loaded.users -= 1
            if not loaded.users:
                del self._loaded[key]
                loaded.backend.close()


class _Share:
    """A `Backend` that runs one that others run too."""

    def __init__(
        self, owner: SharedBackends, key: tuple[Path, str, int | None], loaded: _Loaded
    ) -> None:
        self._owner, self._key, self._loaded = owner, key, loaded
        self._is_open = True
        self.name, self.sidecar = loaded.backend.name, loaded.backend.sidecar

    def infer(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run the graph once; see `Backend`."""
        with self._loaded.lock:
            outputs = self._loaded.backend.infer(*inputs)
            # The next run, of whoever, may overwrite them.
            return {name: values.copy() for name, values in outputs.items()}

    def close(self) -> None:
        """Give the model back; the last one frees it."""
        if self._is_open:
            self._is_open = False
            self._owner.give_back(self._key)

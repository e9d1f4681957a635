"""Both CPU backends timed on one graph, in a process of its own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.base import Backend, trial_inputs
from handmesh_ros.inference.backends.cpu_choice import OTHER, USUAL
from handmesh_ros.inference.backends.selection import open_backend

_WARM_UP, _ROUNDS = 3, 15


def measure(open_named: Callable[[str], Backend]) -> dict[str, float]:
    """Run both in turns; the lower quartile, since other programs only ever add time.

    Args:
        open_named: opens the backend of that name.

    Returns:
        Milliseconds of one run by backend.
    """
    backends = {name: open_named(name) for name in (USUAL, OTHER)}
    inputs = trial_inputs(backends[USUAL].sidecar)
    samples: dict[str, list[float]] = {name: [] for name in backends}
    for _ in range(_WARM_UP + _ROUNDS):
        for name, backend in backends.items():
            start = time.perf_counter()
            backend.infer(*inputs)
            samples[name].append(1e3 * (time.perf_counter() - start))
    for backend in backends.values():
        backend.close()
    return {
        name: round(float(np.percentile(values[_WARM_UP:], 25)), 3)
        for name, values in samples.items()
    }


def main(path: str, threads: str) -> int:
    """Print what `measure` says of a graph as one line of JSON; return the exit status."""
    try:
        found = measure(lambda name: open_backend(path, name, threads=int(threads) or None))
    except HandmeshError as problem:
        print(problem, file=sys.stderr)
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

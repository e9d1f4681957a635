"""Programs of ours that start Python again, which must not import from the working directory.

`python -m` and `python -c` look there first: a `random.py` beside the user's photographs would
run. (Python's own switch against it, -P, came with 3.11.)
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

_ROOT = str(Path(__file__).resolve().parents[2])
_START = f"import sys; sys.path[0] or sys.path.pop(0); sys.path.append({_ROOT!r}); "


def run_code(code: str) -> list[str]:
    """Return the command that runs some Python code."""
    return [sys.executable, "-c", _START + code]


def run_module(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module as a program.

    Args:
        module: its full name.
        arguments: of the program.
    """
    run = f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    return [*run_code(run), *arguments]


def spawn_executor(
    workers: int, start: Callable[..., None], arguments: tuple[Any, ...]
) -> ProcessPoolExecutor:
    """Return an executor of fresh processes, as `spawn_pool`; a process that dies breaks it.

    Args:
        workers: processes.
        start: called in each of them first.
        arguments: of `start`.
    """
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=start, initargs=arguments)


def spawn_pool(workers: int, start: Callable[..., None], arguments: tuple[Any, ...]) -> Pool:
    """Return a pool of fresh processes (Python 3.11 and newer keep the working directory out).

    Args:
        workers: processes.
        start: called in each of them first.
        arguments: of `start`.
    """
    name = "PYTHONSAFEPATH"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        return multiprocessing.get_context("spawn").Pool(workers, start, arguments)
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before

"""Packages that are missing or do not load: one sentence with the line that mends it."""

from __future__ import annotations

import contextlib
import re
import sys
import traceback
from collections.abc import Iterator
from typing import Any, TextIO

from handmesh_ros.errors import HandmeshError

_BUILT_FOR_NUMPY_1 = re.compile(r"numpy\.core\.multiarray|_ARRAY_API|compiled using NumPy 1")
_MISSING_LIBRARY = re.compile(r"(lib\S+\.so\S*): cannot open shared object file")


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Give a failing import its reason, and keep packages from printing it.

    For a package that was built for NumPy 1, NumPy 2 prints a page with a traceback; the error
    itself may be without words. What is printed otherwise appears afterwards.

    Raises:
        ImportError: as the import raised it, with a reason.
    """
    stream = _Stream(sys.stderr)
    try:
        with contextlib.redirect_stderr(stream):  # type: ignore[type-var]
            yield
    except ImportError as error:
        if not _BUILT_FOR_NUMPY_1.search(stream.kept):
            raise
        stream.kept = ""
        reason = "it was compiled using NumPy 1, and this is NumPy 2"
        raise ImportError(reason, name=error.name or _importer(error)) from error
    finally:
        stream.release()


class _Stream:
    """Keeps back what is written until it is released, and is the stream itself from then on.

    Logging handlers that a package makes while it is imported keep it.

    Args:
        stream: the one that it stands for; None where there is none.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream, self.kept, self._keeps = stream, "", True

    def write(self, words: str) -> int:
        """Write, or keep, text."""
        if self._keeps:
            self.kept += words
        elif self._stream is not None:
            self._stream.write(words)
        return len(words)

    def flush(self) -> None:
        """Flush the stream."""
        if self._stream is not None:
            self._stream.flush()

    def release(self) -> None:
        """Write what was kept, and keep nothing any longer."""
        self._keeps = False
        self.write(self.kept)

    def close(self) -> None:
        """Leave the stream open: absl's handler would close it when logging is shut down."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def needed_for(option: str, requirement: str = ".[view]") -> Iterator[None]:
    """Turn the error of a package that is not installed, or does not load, into one sentence.

    Args:
        option: that needs what is imported, such as "--glb".
        requirement: of pip, that brings it.

    Raises:
        HandmeshError: the import failed.
    """
    try:
        with plain_errors():
            yield
    except ImportError as error:
        problem = explain(error, option, requirement)
        if problem is None:
            raise
        raise problem from error


def explain(error: ImportError, program: str, requirement: str) -> HandmeshError | None:
    """Return the sentence for an import that failed; None for a mistake of our own.

    Args:
        error: what the import raised.
        program: what was to run, such as "`handmesh train`".
        requirement: of pip, that brings everything the program imports.
    """
    package = (error.name or _importer(error)).partition(".")[0]
    if package in ("", "handmesh_ros"):
        return None
    if isinstance(error, ModuleNotFoundError):
        return HandmeshError(
            f"{program} needs the package {package}, which is not installed: "
            f"pip install '{requirement}' in a checkout of handmesh_ros."
        )
    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1].rstrip(".")
    return HandmeshError(
        f"{program} needs the package {package}, which does not load ({reason}): "
        f"{remedy(str(error), reinstall(repr(requirement)))}."
    )


def reinstall(requirement: str) -> str:
    """Return the line that installs again what does not load, for `remedy`."""
    return f"pip install --force-reinstall {requirement}"


def remedy(reason: str, usual: str) -> str:
    """Return what mends an import that failed.

    Args:
        reason: what it said.
        usual: what to do if that tells nothing.
    """
    if _BUILT_FOR_NUMPY_1.search(reason):
        return "pip install 'numpy<2'"
    if library := _MISSING_LIBRARY.search(reason):
        hint = " (apt install libgl1)" if "libGL" in library.group(1) else ""
        return f"install the system's package that has {library.group(1)}{hint}"
    return usual


def _importer(error: ImportError) -> str:
    """Return the module that was being imported last; "" if none was."""
    modules = [
        frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    others = [name for name in modules if not name.startswith(("importlib", "contextlib"))]
    return others[-1] if others else ""


GET_MESSAGES = (
    "`colcon build` and source install/setup.bash, or in a checkout without ROS `make demo` and "
    "`. .colcon/env.sh`"
)
"""How a terminal gets the built messages."""

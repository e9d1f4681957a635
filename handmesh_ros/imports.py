"""Packages that are missing or do not load: one sentence with the line that mends it."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import traceback
from collections.abc import Iterator

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
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    except ImportError as error:
        if not _BUILT_FOR_NUMPY_1.search(said.getvalue()):
            _print(said.getvalue())
            raise
        reason = "it was compiled using NumPy 1, and this is NumPy 2"
        raise ImportError(reason, name=error.name or _importer(error)) from error
    except BaseException:
        _print(said.getvalue())
        raise
    _print(said.getvalue())


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


def _print(words: str) -> None:
    if words and sys.stderr is not None:
        sys.stderr.write(words)

"""Places below the user's home, and what takes their part where there is none."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from handmesh_ros.errors import HandmeshError


def home() -> Path | None:
    """Return the user's home; None where neither HOME nor the user table tells of one."""
    try:
        found = Path.home()
    except (RuntimeError, KeyError):
        return None
    return found if found.is_absolute() else None


def expand(path: str) -> Path:
    """Return a path in which `~` and `~user` are replaced by a home.

    Raises:
        HandmeshError: there is no such home.
    """
    try:
        return Path(path).expanduser()
    except (RuntimeError, KeyError) as error:
        raise HandmeshError(
            f"The path {path} begins at a home that is not known here: give it without '~'."
        ) from error


def cache_directory(name: str) -> Path:
    """Return $XDG_CACHE_HOME/handmesh/NAME or ~/.cache/handmesh/NAME.

    Without a home it is a folder of this user's in the system's temporary one; see
    `fallback_directory`.
    """
    chosen, own = os.environ.get("XDG_CACHE_HOME"), home()
    if chosen:
        return Path(chosen) / "handmesh" / name
    return own / ".cache" / "handmesh" / name if own else fallback_directory(name)


def fallback_directory(name: str) -> Path:
    """Return a folder of this user's in the system's temporary one; others might make it first."""
    return Path(tempfile.gettempdir()) / f"handmesh-{os.getuid()}-{name}"

"""Places to write to: checked before the work, so that none is done in vain or over its input."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from handmesh_ros.errors import HandmeshError


def check_place(path: Path) -> None:
    """Check that a file can be written; its folder is made where it does not exist.

    Raises:
        HandmeshError: it cannot.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        if path.exists() and not path.is_file():  # a pipe, or /dev/null
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> HandmeshError:
    """Return the sentence for a file or folder that cannot be written."""
    is_file = isinstance(error, FileExistsError)  # of a folder that was to be made
    reason = "it is a file, not a folder" if is_file else error.strerror
    return HandmeshError(f"Cannot write {path} ({reason}): give a place that you can write to.")


class Originals:
    """The files that are looked at, which nothing is written over.

    Args:
        paths: of the files.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._identities = {_identity(path) for path in paths}

    def check(self, target: Path) -> None:
        """Check a place to write to.

        Raises:
            HandmeshError: one of the files lies there, under this or another name.
        """
        if target.exists() and _identity(target) in self._identities:
            raise HandmeshError(
                f"Writing {target} would overwrite one of the files to read: give another place."
            )


def _identity(path: Path) -> tuple[int, int] | Path:
    try:
        status = path.stat()
    except OSError:
        return path
    return status.st_dev, status.st_ino

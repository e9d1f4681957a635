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


class OutputFolder:
    """A folder of files that are named after their sources.

    Args:
        folder: made where it does not exist.
        originals: files that are not overwritten.

    Raises:
        HandmeshError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, originals: Originals) -> None:
        self._folder, self._originals = folder, originals
        self._taken: set[Path] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise cannot_write(folder, error) from error

    def choose(self, name: Path, suffix: str) -> Path:
        """Return where to write what is made of a source; the folder there may not exist.

        Args:
            name: of the source; a second one of this name gets `_2`, and so on.
            suffix: of the file.

        Raises:
            HandmeshError: it would replace one of the originals.
        """
        chosen, number = name.with_suffix(suffix), 2
        while chosen in self._taken:
            chosen = name.with_name(f"{name.stem}_{number}{suffix}")
            number += 1
        self._taken.add(chosen)
        target = self._folder / chosen
        self._originals.check(target)
        return target


def _identity(path: Path) -> tuple[int, int] | Path:
    try:
        status = path.stat()
    except OSError:
        return path
    return status.st_dev, status.st_ino

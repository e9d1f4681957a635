"""What lies in a folder: linked folders are followed, hidden entries are not looked at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from handmesh_ros.errors import HandmeshError


def files_below(
    folder: str | Path, unreadable: Callable[[Path, HandmeshError], None] | None = None
) -> Iterator[Path]:
    """Yield all files in a folder and below, in no order.

    Links to folders are followed, each folder once, so that circles end. What is hidden below the
    folder (`._a.jpg`, `.thumbnails/`) is skipped; the folder itself may be.

    Args:
        folder: where to look.
        unreadable: called with a folder that cannot be read, and the sentence; None raises it.

    Raises:
        HandmeshError: a folder cannot be read.
    """

    def tell(error: OSError) -> None:
        path = Path(error.filename)
        problem = HandmeshError(
            f"Cannot read the folder {path} ({error.strerror}): check its path and rights."
        )
        if unreadable is None:
            raise problem from error
        unreadable(path, problem)

    seen = set()
    for place, folders, names in os.walk(folder, onerror=tell, followlinks=True):
        status = os.stat(place)
        identity = status.st_dev, status.st_ino
        if identity in seen:
            folders.clear()
            continue
        seen.add(identity)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in names if not name.startswith("."))

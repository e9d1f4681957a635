"""The small YAML file that keeps a user's hand lengths from one start to the next."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handmesh_ros.common.files import parse_yaml
from handmesh_ros.common.home import expand, home
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import SIDES
from handmesh_ros.hand.size import LONGEST_M, SHORTEST_M

_HEADER = """\
# Hand lengths, wrist to middle fingertip along the bones, metres.
# Written by the service calibrate_hand of handmesh_ros.
"""


def default_path() -> Path:
    """Return where lengths are kept unless a parameter says otherwise.

    A user without a home has no file: storing then fails with a sentence.
    """
    chosen, own = os.environ.get("ROS_HOME"), home()
    if chosen:
        return expand(chosen) / "handmesh_ros" / "hand_lengths.yaml"
    return (own / ".ros" if own else Path(os.devnull)) / "handmesh_ros" / "hand_lengths.yaml"


def length_parameter(side: str) -> str:
    """Return the name of the node's parameter that holds the length of "left" or "right" hands."""
    return f"{side}_hand_length_m"


def read_lengths(path: Path) -> dict[str, float]:
    """Return the stored lengths in metres by side ("left", "right"); none where there is no file.

    Raises:
        HandmeshError: the file cannot be read or holds something else.
    """
    try:
        stored = parse_yaml(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise HandmeshError(
            f"The hand lengths in {path} cannot be read ({type(error).__name__}), so sizes are "
            "assumed: mend the file or call calibrate_hand again."
        ) from error
    if stored is None:
        return {}
    if not isinstance(stored, dict) or not set(stored) <= set(SIDES):
        raise HandmeshError(
            f"{path} does not hold hand lengths, so sizes are assumed: give it lines such as "
            "`right: 0.19`."
        )
    for side, length in stored.items():
        check_length(length, f"The length of the {side} hand in {path}")
    return {side: float(length) for side, length in stored.items()}


def store_length(path: Path, side: int, length_m: float) -> Path | None:
    """Store the length of one hand; the other one's stays.

    A damaged file may hold the other one's, so it is not overwritten but kept beside.

    Args:
        path: of the file; it and its folder are made where they are missing.
        side: LEFT or RIGHT.
        length_m: metres.

    Returns:
        Where a damaged file is kept now; None where there was none.

    Raises:
        HandmeshError: the file cannot be written, or the length is not that of a hand.
    """
    check_length(length_m, f"The length of the {SIDES[side]} hand")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.parent):
            return _store(path, side, length_m)
    except OSError as error:
        raise HandmeshError(
            f"The hand length cannot be stored in {path} ({error.strerror}): make it writable or "
            "set calibration_file."
        ) from error


def _store(path: Path, side: int, length_m: float) -> Path | None:
    import yaml

    kept = None
    try:
        lengths = read_lengths(path)
    except HandmeshError:
        lengths = {}
        kept = _free_name(path) if path.is_file() else None
    lengths[SIDES[side]] = round(float(length_m), 5)
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with open(number, "w") as file:
            file.write(_HEADER + yaml.safe_dump(lengths))
        temporary.chmod(0o644)
        if kept is not None:
            path.rename(kept)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return kept


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process stores a length in this folder; a lock that needs no file.

    Where folders cannot be locked, as on some network drives, nobody is waited for.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def check_writable(path: Path) -> None:
    """Check that lengths can be stored here, without making anything.

    Raises:
        HandmeshError: they cannot.
    """
    above = next(each for each in (path, *path.absolute().parents) if each.exists())
    is_right_kind = path.is_file() if above == path else above.is_dir()
    if not is_right_kind or not os.access(above, os.W_OK):
        raise HandmeshError(
            f"Hand lengths could not be stored in {path}, so calibrate_hand would fail: set "
            "calibration_file to a file that can be written."
        )


def _free_name(path: Path) -> Path:
    """Return a name beside `path`, .damaged or else .damaged2 and so on, that is not taken."""
    kept, number = path.with_name(f"{path.name}.damaged"), 2
    while kept.exists():
        kept, number = path.with_name(f"{path.name}.damaged{number}"), number + 1
    return kept


def check_length(length_m: Any, what: str) -> None:
    """Check that this is the length of a human hand.

    Raises:
        HandmeshError: it is not; `what` names it.
    """
    is_number = isinstance(length_m, (int, float)) and not isinstance(length_m, bool)
    if not is_number or not math.isfinite(length_m) or not SHORTEST_M <= length_m <= LONGEST_M:
        raise HandmeshError(
            f"{what} is {length_m!r}: give {SHORTEST_M:g} to {LONGEST_M:g} m, from the wrist "
            "crease to the tip of the stretched middle finger."
        )

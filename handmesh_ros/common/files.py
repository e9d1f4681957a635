"""Files of text and data: written whole or not at all, and read without surprises."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any


def part_of(path: Path) -> Path:
    """Return what a file is called until it is complete: hidden, and with its suffix at the end.

    What a killed program leaves is replaced by the next one.
    """
    return path.with_name(f".part.{path.name}")


def write_whole(path: Path, content: bytes | memoryview, *, sync: bool = True) -> None:
    """Write a file so that others see the old or the new one, never a part.

    Args:
        path: of the file.
        content: all of it.
        sync: wait until it is on the disk, so that even a power cut leaves one of the two.

    Raises:
        OSError: it cannot be written; an older file stays.
    """
    partial = part_of(path)
    try:
        with partial.open("wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text holds.

    Raises:
        ValueError: it is no JSON, nested too deeply, or an object has one name twice, of which
            other readers silently take the last.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def parse_yaml(text: str) -> Any:
    """Return what a YAML text holds.

    Raises:
        ValueError: it is no YAML. Of what is no YAML, PyYAML also raises errors of Python's own
            (escapes beyond Unicode, impossible dates, deep nesting).
    """
    import yaml

    try:
        return yaml.safe_load(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except Exception as error:
        raise ValueError(" ".join(str(error).split()).rstrip(".")) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has {twice!r} twice")
    return values

"""Reading the files of published data sets: what is missing or damaged is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handmesh_ros.common.files import parse_json
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.mano import load_arrays


def content_of(path: Path, data_set: str) -> bytes:
    """Return a file's bytes.

    Args:
        path: the file.
        data_set: whose file it is, for the message.

    Raises:
        HandmeshError: it is missing or cannot be opened.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise HandmeshError(
            f"The {data_set} file {path} cannot be opened ({error.strerror}); give the folder "
            "that the data set was unpacked into, complete."
        ) from error


def read_json(path: Path, data_set: str, kind: type[list] | type[dict] = dict) -> Any:
    """Return what a JSON file holds.

    Args:
        path: the file.
        data_set: whose file it is, for the message.
        kind: of its outermost value; another one is a file of something else.

    Raises:
        HandmeshError: it is missing, cut short or otherwise damaged, or holds something else.
    """
    try:
        content = parse_json(content_of(path, data_set))
        if not isinstance(content, kind):
            raise ValueError(f"it holds no {'list' if kind is list else 'object'}")
        return content
    except ValueError as error:
        raise _damaged(path, data_set, error) from error


def read_pickle(path: Path, data_set: str) -> Any:
    """Return what a pickle of arrays holds, without running code of it (`hand.mano`).

    Raises:
        HandmeshError: it is missing, damaged, or holds more than arrays.
    """
    try:
        return load_arrays(content_of(path, data_set))
    except HandmeshError:
        raise
    except Exception as error:  # damaged pickles raise anything
        raise _damaged(path, data_set, error) from error


def read_lines(path: Path, data_set: str) -> list[str]:
    """Return the lines of a text file that are not empty, stripped.

    Raises:
        HandmeshError: it is missing, or no text.
    """
    try:
        lines = content_of(path, data_set).decode().splitlines()
    except UnicodeDecodeError as error:
        raise _damaged(path, data_set, error) from error
    return [line.strip() for line in lines if line.strip()]


def read_image(path: Path, data_set: str) -> np.ndarray:
    """Return an image, (H, W, 3) uint8 RGB.

    Raises:
        HandmeshError: it is missing or damaged.
    """
    return cv2.cvtColor(_decode(path, data_set, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_mask(path: Path, data_set: str) -> np.ndarray:
    """Return a one-channel image, (H, W) uint8.

    Raises:
        HandmeshError: it is missing or damaged.
    """
    return _decode(path, data_set, cv2.IMREAD_GRAYSCALE)


def _decode(path: Path, data_set: str, how: int) -> np.ndarray:
    content = np.frombuffer(content_of(path, data_set), np.uint8)
    image = cv2.imdecode(content, how) if len(content) else None
    if image is None:
        raise HandmeshError(
            f"The {data_set} image {path} is damaged; unpack or copy it again, or remove it."
        )
    return image


def _damaged(path: Path, data_set: str, error: Exception) -> HandmeshError:
    return HandmeshError(
        f"The {data_set} file {path} is damaged or cut short ({error}); unpack or copy it again."
    )

"""What is to be done: the videos, and the segments that workers take."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from handmesh_ros.errors import HandmeshError
from handmesh_ros.media.sources import find_sources
from handmesh_ros.media.videos import video_name, video_rate

MARGIN_S = 2.0
"""A segment is tracked from this long before its begin until this long after its end: tracks
settle before, and ids of neighbours are matched in what both have."""

LEAST_SEGMENT_S = 3 * MARGIN_S


@dataclass(frozen=True)
class Segment:
    """A piece of a video that one worker takes.

    Attributes:
        video: the file.
        key: names its output: readable, and unique for path, size and time of change.
        index: number in the video, from 0 on.
        begin_s: its first time; frames from `MARGIN_S` before on are tracked, too.
        end_s: its end; infinite for the last one.
    """

    video: Path
    key: str
    index: int
    begin_s: float
    end_s: float

    @property
    def name(self) -> str:
        """Of its file, without a suffix."""
        return f"{self.key}.{self.index:05d}"


def find_videos(inputs: Sequence[str]) -> list[Path]:
    """Return the videos of files, folders, globs and text lists (`.txt`, a path a line).

    Args:
        inputs: as on the command line.

    Raises:
        HandmeshError: one of them does not exist, or holds no video.
    """
    found = dict.fromkeys(video for text in inputs for video in _videos_of(text))
    return list(found)


def segments_of(video: Path, length_s: float) -> list[Segment]:
    """Return the segments of a video; one of unknown length is one segment.

    Args:
        video: the file.
        length_s: of a segment.

    Raises:
        HandmeshError: the file cannot be read.
    """
    key = _key(video)
    count = max(1, int(_duration_s(video) / length_s + 0.5))
    bounds = [index * length_s for index in range(count)] + [float("inf")]
    return [Segment(video, key, index, *bounds[index : index + 2]) for index in range(count)]


def _videos_of(text: str) -> Iterator[Path]:
    if "://" in text:
        raise HandmeshError(
            f"{text} is an address: download it, or mount the store, and give files."
        )
    path = Path(text)
    if path.suffix.lower() == ".txt" and path.is_file():
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise HandmeshError(
                f"The list {path} is no text ({error}): one path a line."
            ) from error
        for line in filter(None, map(str.strip, lines)):
            yield from _videos_of(line if Path(line).is_absolute() else str(path.parent / line))
        return
    paths = (
        [path]
        if path.exists()
        else [Path(name) for name in sorted(glob.glob(text, recursive=True))]
    )
    if not paths:
        raise HandmeshError(f"There is nothing at {text}: give videos, folders, globs or a list.")
    for one in paths:
        videos = [source.path for source in find_sources(one) if source.is_video]
        if not videos:
            raise HandmeshError(
                f"{one} is or holds no video: for photographs use `handmesh detect`."
            )
        yield from videos


def _key(video: Path) -> str:
    try:
        state = video.stat()
    except OSError as error:
        raise HandmeshError(f"Cannot read {video} ({error.strerror}).") from error
    identity = f"{video.resolve()}\0{state.st_size}\0{state.st_mtime_ns}"
    return f"{video.stem[:80]}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def _duration_s(video: Path) -> float:
    capture = cv2.VideoCapture(video_name(video))
    try:
        count = float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()
    return max(count, 0.0) / video_rate(video)

"""Images from photos, folders and videos, one after the other."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from handmesh_ros.errors import HandmeshError
from handmesh_ros.media import photos, videos
from handmesh_ros.media.folders import files_below
from handmesh_ros.media.photos import MAX_PIXELS
from handmesh_ros.media.videos import MediaFrame


@dataclass(frozen=True)
class Source:
    """One file to look at.

    Attributes:
        path: of the file, as the user wrote it.
        name: where it lies below the folder that the user gave, or its file name.
    """

    path: Path
    name: Path

    @property
    def is_video(self) -> bool:
        """Whether the file is read frame by frame."""
        return self.path.suffix.lower() in videos.SUFFIXES


def find_sources(
    path: Path, unreadable: Callable[[Path, HandmeshError], None] | None = None
) -> list[Source]:
    """Return the file at `path`, or all photos and videos below that folder, sorted.

    Args:
        path: a file or a folder, see `files_below`.
        unreadable: called with a folder below that cannot be read, and the sentence; None raises.

    Raises:
        HandmeshError: there is nothing at `path`, or a folder holds no photo and no video.
    """
    if path.is_dir():
        found = sorted(
            file
            for file in files_below(path, unreadable)
            if file.suffix.lower() in photos.SUFFIXES | videos.SUFFIXES
            and (file.is_file() or not file.exists())  # A broken link is told when it is read.
            and not _is_typescript(file)
        )
        if not found:
            raise HandmeshError(
                f"The folder {path} holds no photos and no videos that can be read: give one that "
                "does."
            )
        return [Source(file, file.relative_to(path)) for file in found]
    if not path.exists():
        if re.match(r"[a-z]{2,}:/", str(path)):
            address = str(path).replace(":/", "://", 1)
            raise HandmeshError(
                f"{address} is an address, and only files are read: download or record it first."
            )
        raise HandmeshError(f"There is no file or folder {path}: check the path.")
    return [Source(path, Path(path.name))]


def quiet_decoders() -> None:
    """Keep OpenCV and FFmpeg from printing what they think of damaged files: we say it ourselves.

    For programs, before they read the first file; a level in the environment stays.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if "OPENCV_LOG_LEVEL" not in os.environ:
        # OpenCV 5 has it here, 4.11 there; 0 is silent.
        set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
        set_level(0)


def read_frames(source: Source, max_pixels: int = MAX_PIXELS) -> Iterator[MediaFrame]:
    """Yield the photo, or the frames of the video.

    Args:
        source: the file.
        max_pixels: larger images are refused.

    Raises:
        HandmeshError: the file cannot be read or decoded, or a video not to its end.
    """
    if source.is_video:
        yield from videos.read_video(source.path, max_pixels)
    else:
        yield MediaFrame(photos.read_photo(source.path, max_pixels))


def _is_typescript(path: Path) -> bool:
    """Return whether a .ts file, found in a folder, is no MPEG transport stream."""
    if path.suffix.lower() != ".ts":
        return False
    try:
        with path.open("rb") as file:
            return file.read(1) != b"G"  # Its packets' sync byte.
    except OSError:
        return False

"""Images from photos, folders and videos, one after the other."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from handmesh_ros.errors import HandmeshError

PHOTO_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif"),
        *(".jp2", ".avif", ".heic", ".heif"),
    )
)
"""Of HEIC no OpenCV reads the pixels, but a folder of it is not empty."""

VIDEO_SUFFIXES = frozenset((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"))
_COUNTED_SUFFIXES = frozenset((".mp4", ".mov", ".m4v"))
"""Containers that say how many frames they have; others let FFmpeg guess."""


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
        return self.path.suffix.lower() in VIDEO_SUFFIXES


@dataclass(frozen=True)
class Frame:
    """One image.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright.
        index: number of the frame in its video from 0 on; None for a photo.
        time_s: its time in the video, seconds; None for a photo.
    """

    image: np.ndarray
    index: int | None = None
    time_s: float | None = None


def find_sources(path: Path) -> list[Source]:
    """Return the file at `path`, or all photos and videos below that folder, sorted.

    Raises:
        HandmeshError: there is nothing at `path`, or a folder holds no photo and no video.
    """
    if path.is_dir():
        found = sorted(
            file
            for file in path.rglob("*")
            if file.suffix.lower() in PHOTO_SUFFIXES | VIDEO_SUFFIXES
            and (file.is_file() or not file.exists())  # A broken link is told when it is read.
        )
        if not found:
            raise HandmeshError(
                f"The folder {path} holds no photos and no videos: give one that does."
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


def read_frames(source: Source) -> Iterator[Frame]:
    """Yield the photo, or the frames of the video.

    Raises:
        HandmeshError: the file cannot be read or decoded, or a video not to its end.
    """
    if source.is_video:
        yield from _read_video(source.path)
    else:
        yield Frame(read_photo(source.path))


def read_photo(path: Path) -> np.ndarray:
    """Read a photo as (H, W, 3) uint8 RGB.

    It is turned upright as its EXIF orientation says; grey and palette images become RGB, 16 bits
    become 8, an alpha channel is dropped.

    Raises:
        HandmeshError: the file cannot be read or decoded.
    """
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise HandmeshError(
            f"Cannot read {path} ({error.strerror}): check the path and its rights."
        ) from error
    image = None
    if content.size:
        with _silent_libraries(), contextlib.suppress(cv2.error):
            image = cv2.imdecode(content, cv2.IMREAD_COLOR)
    if image is None:
        raise HandmeshError(
            f"Cannot decode {path}: it is empty, damaged or of a format that OpenCV does not "
            f"read, so convert it to JPEG or PNG."
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


@contextlib.contextmanager
def _silent_libraries() -> Iterator[None]:
    """Keep C libraries from printing: libpng and libjpeg know no other way to tell of damage.

    The standard error stream of the whole process is away meanwhile.
    """
    try:
        kept = os.dup(2)
    except OSError:  # There is no such stream.
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def video_rate(path: Path) -> float:
    """Return a video's frames per second, 30 where the file does not say."""
    rate = float(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS))
    return rate if np.isfinite(rate) and 0.0 < rate <= 1000.0 else 30.0


def _read_video(path: Path) -> Iterator[Frame]:
    capture = cv2.VideoCapture(str(path))
    try:
        index = 0
        while True:
            read, image = capture.read()
            if not read:
                break
            time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
            yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), index, time_s)
            index += 1
        announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    finally:
        capture.release()
    if index == 0:
        raise HandmeshError(
            f"Cannot read any frame of {path}: it is empty, damaged or of a format that this "
            f"OpenCV does not decode, so convert it to MP4 (H.264)."
        )
    # Edit lists hide some frames of a whole file.
    if path.suffix.lower() in _COUNTED_SUFFIXES and index < 0.9 * announced:
        raise HandmeshError(
            f"{path} ends after {index} of {announced:.0f} frames: it is damaged or incomplete, "
            f"and only these are used."
        )

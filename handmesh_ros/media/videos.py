"""Videos as players show them: upright, with square pixels, each frame at its time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from handmesh_ros.common.renamed import renamed_names
from handmesh_ros.errors import HandmeshError
from handmesh_ros.media.containers import Container, read_container
from handmesh_ros.media.photos import MAX_PIXELS

SUFFIXES = frozenset(
    (
        *(".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts"),
        *(".m2ts", ".m2t", ".vob", ".wmv", ".asf", ".flv", ".3gp", ".3g2", ".ogv", ".mxf"),
        *(".mjpeg", ".mjpg"),
    )
)
USUAL_RATE = 30.0
_GREATEST_RATE = 130.0
_GREATEST_DRAWN_RATE = 120.0
_MEASURED_FRAMES = 90
_WIDEST_PIXEL = 10.0

__getattr__ = renamed_names(__name__, {"Frame": "MediaFrame"})


@dataclass(frozen=True)
class MediaFrame:
    """One image.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright.
        index: number of the frame in its video from 0 on; None for a photo.
        time_s: its time in the video, seconds; None for a photo.
    """

    image: np.ndarray
    index: int | None = None
    time_s: float | None = None


def video_name(path: Path) -> str:
    """Return a path as OpenCV takes it: FFmpeg reads `12:30.mp4` as a protocol called 12."""
    return os.path.abspath(path)


@contextmanager
def _capture(path: Path) -> Iterator[cv2.VideoCapture]:
    """Open a video; frames come as they are stored, as far as OpenCV lets them."""
    capture = cv2.VideoCapture(video_name(path))
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
    try:
        yield capture
    finally:
        capture.release()


def video_rate(path: Path) -> float:
    """Return a video's frames per second, 30 where the file does not say.

    Browsers' recordings claim 1000: of such the first frames' times count.
    """
    with _capture(path) as capture:
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        if 0.0 < rate <= _GREATEST_RATE:
            return rate
        times: list[float] = []
        while len(times) < _MEASURED_FRAMES and capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0)
    steps = np.diff(times)
    steps = steps[steps > 0]
    measured = 1.0 / float(np.median(steps)) if len(steps) else 0.0
    return measured if 0.0 < measured <= 1000.0 else USUAL_RATE


def pace_rate(path: Path) -> float:
    """Return the frames per second at which every frame of a video has a place at its own time.

    That is its rate, or where the times say that frames come closer together than that (phones and
    screen recorders vary their rate), that of the closest ones; at most 120. The video is gone
    through once.
    """
    rate = video_rate(path)
    with _capture(path) as capture:
        times = []
        while capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0)
    steps = np.diff(times)
    steps = steps[np.isfinite(steps) & (steps > 0)]
    if len(steps) < 2:
        return rate
    # One frame out of place does not count, and times of whole milliseconds only seem to vary.
    closest = float(np.percentile(steps, 2))
    return rate if closest > 0.75 / rate else min(1.0 / closest, _GREATEST_DRAWN_RATE)


def read_video(path: Path, max_pixels: int = MAX_PIXELS) -> Iterator[MediaFrame]:
    """Yield the frames of a video.

    Args:
        path: of the file.
        max_pixels: larger frames are refused.

    Raises:
        HandmeshError: it cannot be read or decoded, not to its end, or its frames are too large.
    """
    container = read_container(path)
    with _capture(path) as capture:
        size = [int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
        if size[0] * size[1] > max_pixels:
            raise HandmeshError(
                f"The frames of {path} have {size[0]} × {size[1]} pixels, more than the limit of "
                f"{max_pixels}: make it smaller, or give `handmesh detect` a greater --max-pixels."
            )
        clock = _Clock(capture)
        index = 0
        while True:
            read, image = capture.read()
            if not read:
                break
            image = _as_shown(image, container, capture)
            yield MediaFrame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), index, clock.time_s(index))
            index += 1
        announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    if index == 0:
        raise HandmeshError(
            f"Cannot read any frame of {path}: it is empty, damaged or of a format that this "
            f"OpenCV does not decode, so convert it to MP4 (H.264)."
        )
    if container.counts_shown and index < 0.9 * announced:
        raise HandmeshError(
            f"{path} ends after {index} of {announced:.0f} frames: it is damaged or incomplete, "
            f"and only these are used."
        )
    if container.is_cut_short:
        raise HandmeshError(
            f"{path} ends after {index} frames in the middle of its data: it is damaged or "
            f"incomplete, and only these are used."
        )


class _Clock:
    """The frames' times, which never run backwards.

    Joined and cut files begin their count again: it goes on one frame later then.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        self._step_s = 1.0 / (rate if 0.0 < rate <= 1000.0 else USUAL_RATE)
        self._offset_s, self._last_s = 0.0, 0.0

    def time_s(self, index: int) -> float:
        """Return the time of the frame that was read last."""
        told_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
        told_s = max(told_s, 0.0) if np.isfinite(told_s) else 0.0
        if index and told_s + self._offset_s < self._last_s:
            self._offset_s = self._last_s + self._step_s - told_s
        self._last_s = told_s + self._offset_s
        return self._last_s


def _as_shown(image: np.ndarray, container: Container, capture: cv2.VideoCapture) -> np.ndarray:
    """Return a stored frame (H, W, 3) with square pixels, turned and mirrored as the file says."""
    across, down = (capture.get(p) for p in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
    if across > 0 and down > 0 and across != down:
        height, width = image.shape[:2]
        if across > down:
            width = round(width * min(across / down, _WIDEST_PIXEL))
        else:
            height = round(height * min(down / across, _WIDEST_PIXEL))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    if container.matrix is not None:
        return _placed(image, *container.matrix)
    quarters = round(capture.get(cv2.CAP_PROP_ORIENTATION_META) / 90) % 4
    return np.ascontiguousarray(np.rot90(image, -quarters))


def _placed(image: np.ndarray, a: float, b: float, c: float, d: float) -> np.ndarray:
    """Return an image as x' = a x + c y, y' = b x + d y shows it, to the next quarter turn."""
    if abs(a) + abs(d) < abs(b) + abs(c):  # A quarter turn: what was x becomes y.
        image, a, d = image.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])

"""What `handmesh detect` writes: the JSON of docs/json.md and drawn images and videos."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from handmesh_ros.common.files import part_of, write_whole
from handmesh_ros.common.output_paths import Originals, OutputFolder, cannot_write
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import KEYPOINT_NAMES, SIDES
from handmesh_ros.hand.hands import Hands, ScaleSource
from handmesh_ros.media.sources import Source
from handmesh_ros.media.videos import MediaFrame, pace_rate, video_name

JSON_FORMAT, JSON_VERSION = "handmesh-detections", 1
_LONGEST_STILL_S = 60.0


def frame_entry(
    path: Path, frame: MediaFrame, hands: Hands, intrinsics: np.ndarray, *, with_mesh: bool
) -> dict[str, Any]:
    """Return one entry of `images`, as docs/json.md says."""
    height, width = frame.image.shape[:2]
    entry: dict[str, Any] = {"path": str(path), "width": width, "height": height}
    if frame.index is not None and frame.time_s is not None:
        entry |= {"frame": frame.index, "time_s": round(frame.time_s, 6)}
    entry["intrinsics"] = _rounded(intrinsics, 3)
    entry["hands"] = [_hand_entry(hand, with_mesh) for hand in hands]
    return entry


def _hand_entry(hand: Hands, with_mesh: bool) -> dict[str, Any]:
    entry = {
        "handedness": SIDES[int(hand.handedness[0])],
        "handedness_score": _rounded(hand.handedness_score[0], 4),
        "score": _rounded(hand.score[0], 4),
        "box": _rounded(hand.box[0], 2),
        "keypoints_2d": _rounded(hand.keypoints_2d[0], 2),
        "joints": _rounded(hand.joints[0], 6),
        "scale_source": ScaleSource(int(hand.scale_source[0])).name.lower(),
        "refined": bool(hand.refined[0]),
        "keypoint_scores": _rounded(hand.keypoint_scores[0], 3),
    }
    if with_mesh:
        entry["vertices"] = _rounded(hand.vertices[0], 6)
    return entry


def _rounded(values: np.ndarray | np.floating, digits: int) -> Any:
    return np.asarray(values, dtype=np.float64).round(digits).tolist()


class JsonWriter:
    """Writes detections as they come; the file appears, whole, when the run has ended well.

    Use as a context manager. Leaving it on an exception leaves no file and an older one untouched.

    Args:
        path: of the file; "-" writes to the standard output.
        model: the `model` object of the JSON.
        faces: (F, 3) triangles, written when given.

    Raises:
        HandmeshError: the file cannot be written.
    """

    def __init__(self, path: str, model: dict[str, Any], faces: np.ndarray | None) -> None:
        self._target = Path("the standard output" if path == "-" else path)
        self._partial: Path | None = None
        self._stream = sys.stdout if path == "-" else self._open()
        header: dict[str, Any] = {
            "format": JSON_FORMAT,
            "version": JSON_VERSION,
            "model": model,
            "keypoint_names": list(KEYPOINT_NAMES),
        }
        if faces is not None:
            header["faces"] = np.asarray(faces).tolist()
        self._before = json.dumps(header)[:-1] + ', "images": ['
        self._errors: list[dict[str, str]] = []

    def _open(self) -> TextIO:
        try:
            if self._target.is_dir():
                raise IsADirectoryError(0, "it is a folder")
            if self._target.exists() and not self._target.is_file():  # a pipe, or /dev/null
                return self._target.open("w", encoding="utf-8")
            folder = self._target.resolve().parent
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".handmesh.", dir=folder)
        except OSError as error:
            raise cannot_write(self._target, error) from error
        self._partial = Path(name)
        return os.fdopen(handle, "w", encoding="utf-8")

    def add(self, entry: dict[str, Any]) -> None:
        """Write one entry of `images`.

        Raises:
            OSError: it cannot be written, which ends the run.
        """
        self._write(f"{self._before}\n{json.dumps(entry)}")
        self._before = ","

    def add_error(self, path: Path, message: str) -> None:
        """Note a file that could not be read."""
        self._errors.append({"path": str(path), "message": message})

    def __enter__(self) -> JsonWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                start = "" if self._before == "," else self._before
                self._write(f'{start}\n], "errors": {json.dumps(self._errors)}}}\n', flush=True)
                self._publish()
        finally:
            if self._stream is not sys.stdout:
                with contextlib.suppress(OSError):  # of what could not be written before
                    self._stream.close()
            if self._partial is not None:
                self._partial.unlink(missing_ok=True)

    def _write(self, text: str, *, flush: bool = False) -> None:
        try:
            self._stream.write(text)
            if flush:
                self._stream.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._target)) from error

    def _publish(self) -> None:
        if self._partial is None:
            return
        umask = os.umask(0)
        os.umask(umask)
        try:
            self._partial.chmod(0o666 & ~umask)
            self._partial.replace(self._target.resolve())
        except OSError as error:
            raise cannot_write(self._target, error) from error


class DrawingWriter:
    """Writes drawn images and videos into a folder, under the names of their sources.

    Args:
        folder: made where it does not exist.
        originals: files that no drawing may replace.

    Raises:
        HandmeshError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, originals: Originals) -> None:
        self._folder = OutputFolder(folder, originals)
        self._video: _VideoWriter | None = None

    @contextlib.contextmanager
    def drawing(self, source: Source) -> Iterator[None]:
        """Choose the name for what `source` gives: photos as PNG or JPEG, videos as MP4.

        A video gets it in the end; one whose source is damaged ends where that does, and one that
        is interrupted is deleted.

        Raises:
            HandmeshError: the drawing would replace one of the originals, or the video could not
                be written to its end.
        """
        self._source = source
        suffix = source.path.suffix.lower()
        suffix = ".mp4" if source.is_video else suffix if suffix in (".jpg", ".jpeg") else ".png"
        self.target = self._folder.choose(source.name, suffix)
        try:
            yield
        except HandmeshError:
            self._finish()
            raise
        except BaseException:
            self._discard()
            raise
        self._finish()

    def add(self, drawn: np.ndarray, time_s: float | None = None) -> None:
        """Write one drawn image of the started source.

        Args:
            drawn: (H, W, 3) uint8 RGB.
            time_s: of a video's frame: it is repeated or left out so that it is shown then.

        Raises:
            HandmeshError: it cannot be written.
        """
        image = cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            if not self._source.is_video:
                encoded = cv2.imencode(self.target.suffix, image)[1]
                write_whole(self.target, encoded.tobytes(), sync=False)
                return
        except OSError as error:
            raise cannot_write(self.target, error) from error
        if self._video is None:
            self._video = _VideoWriter(self.target, pace_rate(self._source.path), image)
        self._video.add(image, time_s)

    def _finish(self) -> None:
        video, self._video = self._video, None
        if video is not None:
            video.close()
            if not cv2.VideoCapture(video_name(video.partial)).isOpened():
                video.partial.unlink(missing_ok=True)  # OpenCV tells no writing error.
                raise HandmeshError(
                    f"The video {self.target} could not be written to its end: check the space "
                    "there."
                )
            video.partial.replace(self.target)

    def _discard(self) -> None:
        video, self._video = self._video, None
        if video is not None:
            video.close()
            video.partial.unlink(missing_ok=True)


class _VideoWriter:
    """Writes frames at their times into a video of a constant rate, under a name of its own.

    Args:
        target: what the video will be called.
        rate: frames per second.
        image: (H, W, 3) uint8 BGR, of the size of all frames.

    Raises:
        HandmeshError: it cannot be written.
    """

    def __init__(self, target: Path, rate: float, image: np.ndarray) -> None:
        self.partial = part_of(target)
        self._rate, self._written = rate, 0
        self._last, self._start_s = image, 0.0
        self._height, self._width = image.shape[:2]
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        self._video = cv2.VideoWriter(
            video_name(self.partial), codec, rate, (self._width, self._height)
        )
        if not self._video.isOpened():
            raise HandmeshError(
                f"Cannot write the video {target}: check the folder's rights and space."
            )

    def add(self, image: np.ndarray, time_s: float | None) -> None:
        """Write a frame, after the one before for as long as that is to be seen."""
        if image.shape[:2] != (self._height, self._width):  # Streams may change their size.
            image = cv2.resize(image, (self._width, self._height))
        due = self._written
        if time_s is not None:
            if not self._written:
                self._start_s = time_s
            due = round((time_s - self._start_s) * self._rate)
        for _ in range(min(due - self._written, int(_LONGEST_STILL_S * self._rate))):
            self._write(self._last)
        if due >= self._written:
            self._write(image)
        self._last = image

    def _write(self, image: np.ndarray) -> None:
        self._video.write(image)
        self._written += 1

    def close(self) -> None:
        """End the file."""
        self._video.release()

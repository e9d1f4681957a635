"""What `handmesh detect` writes: the JSON of docs/json.md and drawn images and videos."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from handmesh_ros.commands.frames import Frame, Source, video_rate
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import KEYPOINT_NAMES, SIDES
from handmesh_ros.hand.hands import Hands, ScaleSource

JSON_FORMAT, JSON_VERSION = "handmesh-detections", 1


def frame_entry(
    path: Path, frame: Frame, hands: Hands, intrinsics: np.ndarray, *, with_mesh: bool
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
        self._target = None if path == "-" else Path(path)
        self._partial: Path | None = None
        self._stream: TextIO = sys.stdout
        if self._target is not None:
            self._open(self._target)
        header: dict[str, Any] = {
            "format": JSON_FORMAT,
            "version": JSON_VERSION,
            "model": model,
            "keypoint_names": list(KEYPOINT_NAMES),
        }
        if faces is not None:
            header["faces"] = np.asarray(faces).tolist()
        self._stream.write(json.dumps(header)[:-1] + ', "images": [')
        self._errors: list[dict[str, str]] = []
        self._separator = "\n"

    def _open(self, target: Path) -> None:
        try:
            if target.is_dir():
                raise IsADirectoryError(0, "it is a folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        except OSError as error:
            raise _cannot_write(target, error) from error
        self._partial = Path(name)
        self._stream = os.fdopen(handle, "w", encoding="utf-8")

    def add(self, entry: dict[str, Any]) -> None:
        """Write one entry of `images`."""
        self._stream.write(self._separator + json.dumps(entry))
        self._separator = ",\n"

    def add_error(self, path: Path, message: str) -> None:
        """Note a file that could not be read."""
        self._errors.append({"path": str(path), "message": message})

    def __enter__(self) -> JsonWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._stream.write('\n], "errors": ' + json.dumps(self._errors) + "}\n")
                self._stream.flush()
                self._publish()
        except OSError as problem:
            raise _cannot_write(self._target or Path("the standard output"), problem) from problem
        finally:
            if self._partial is not None:
                self._stream.close()
                self._partial.unlink(missing_ok=True)

    def _publish(self) -> None:
        if self._partial is None or self._target is None:
            return
        umask = os.umask(0)
        os.umask(umask)
        self._partial.chmod(0o666 & ~umask)
        self._partial.replace(self._target)


class DrawingWriter:
    """Writes drawn images and videos into a folder, under the names of their sources.

    Raises:
        HandmeshError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[Path] = set()
        self._video: cv2.VideoWriter | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise _cannot_write(folder, error) from error

    def start(self, source: Source) -> None:
        """Choose the name for what `source` gives: photos as PNG or JPEG, videos as MP4."""
        self._source = source
        suffix = source.path.suffix.lower()
        suffix = ".mp4" if source.is_video else suffix if suffix in (".jpg", ".jpeg") else ".png"
        name = source.name.with_suffix(suffix)
        number = 2
        while name in self._taken:
            name = source.name.with_name(f"{source.name.stem}_{number}{suffix}")
            number += 1
        self._taken.add(name)
        self.target = self._folder / name
        if self.target.exists() and self.target.samefile(source.path):
            raise HandmeshError(
                f"Drawing into {self._folder} would overwrite {source.path}: give another folder."
            )

    def add(self, drawn: np.ndarray) -> None:
        """Write one drawn image (H, W, 3) uint8 RGB of the started source."""
        image = cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            if not self._source.is_video:
                encoded = cv2.imencode(self.target.suffix, image)[1]
                self.target.write_bytes(encoded.tobytes())
                return
        except OSError as error:
            raise _cannot_write(self.target, error) from error
        if self._video is None:
            height, width = image.shape[:2]
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            rate = video_rate(self._source.path)
            self._video = cv2.VideoWriter(str(self.target), codec, rate, (width, height))
            if not self._video.isOpened():
                raise HandmeshError(
                    f"Cannot write the video {self.target}: check the folder's rights and space."
                )
        self._video.write(image)

    def finish(self) -> None:
        """Close the video of the started source, if it is one."""
        if self._video is not None:
            self._video.release()
            self._video = None


def _cannot_write(path: Path, error: OSError) -> HandmeshError:
    return HandmeshError(
        f"Cannot write {path} ({error.strerror}): give a place that you can write to."
    )

"""Images with a known number of hands, of any size, and the demo clip that they are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from handmesh_ros.errors import HandmeshError

_CLIP = Path(__file__).resolve().parent.parent / "assets" / "demo.mp4"
_FRAME = 50
"""Both hands of this frame are open; one is in its left half, one in its right."""

_GREY = 114
_ADVICE = "install an opencv-python that reads videos"


@dataclass(frozen=True)
class Scene:
    """The input of the contestants.

    Attributes:
        image: (H, W, 3) uint8 RGB; of a video (T, H, W, 3), whose hands may be followed.
        hands: number of hands to be found and decoded; None for a photo, which shows what it
            shows.
    """

    image: np.ndarray
    hands: int | None

    @property
    def title(self) -> str:
        """Size and number of hands, for people."""
        height, width = self.image.shape[-3:-1]
        if self.image.ndim == 4:
            return f"{width}x{height}, video"
        count = "" if self.hands is None else f", {self.hands} hand{'s' * (self.hands != 1)}"
        return f"{width}x{height}{count}"


def clip_scene(hands: int, width: int, height: int) -> Scene:
    """Return an image that shows `hands` hands side by side, as large as they fit.

    Raises:
        HandmeshError: OpenCV cannot read the clip.
    """
    frame = _clip_frame()
    half = frame.shape[1] // 2
    halves = (frame[:, :half], frame[:, half:])
    aspect = half / frame.shape[0]
    columns = min(hands, max(1, round(math.sqrt(hands * width / height / aspect))))
    rows = math.ceil(hands / columns)
    scale = min(width / columns / half, height / rows / frame.shape[0])
    size = (max(1, int(half * scale)), max(1, int(frame.shape[0] * scale)))
    image = np.full((height, width, 3), _GREY, np.uint8)
    for index in range(hands):
        row, column = divmod(index, columns)
        x, y = column * width // columns, row * height // rows
        cell = cv2.resize(halves[index % 2], size, interpolation=cv2.INTER_LINEAR)
        image[y : y + size[1], x : x + size[0]] = cell
    return Scene(image, hands)


def video_scene(width: int, height: int) -> Scene:
    """Return the demo clip, forwards and backwards, so that it goes on without a jump.

    Raises:
        HandmeshError: OpenCV cannot read the clip.
    """
    clip = cv2.VideoCapture(str(_CLIP))
    frames = []
    while (read := clip.read())[0]:
        frames.append(cv2.resize(read[1], (width, height), interpolation=cv2.INTER_AREA))
    clip.release()
    if not frames:
        raise HandmeshError(f"OpenCV cannot read {_CLIP}: {_ADVICE}.")
    there = np.ascontiguousarray(np.stack(frames)[..., ::-1])
    return Scene(np.concatenate([there, there[-2:0:-1]]), None)


def _clip_frame() -> np.ndarray:
    clip = cv2.VideoCapture(str(_CLIP))
    for _ in range(_FRAME):
        clip.grab()
    read, frame = clip.read()
    clip.release()
    if not read:
        raise HandmeshError(f"OpenCV cannot read {_CLIP}: {_ADVICE}, or give --image.")
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

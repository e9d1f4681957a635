"""Videos for `tiny_graph`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

RATE_HZ = 5.0


def write_clip(path: Path, seconds: float, *, dark: tuple[float, float] = (0.0, 0.0)) -> Path:
    """Write a small video in which `tiny_graph` sees two hands, none in the times of `dark`."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), RATE_HZ, (64, 48))
    for number in range(round(seconds * RATE_HZ)):
        is_dark = dark[0] <= number / RATE_HZ < dark[1]
        writer.write(np.full((48, 64, 3), 0 if is_dark else 120, np.uint8))
    writer.release()
    return path

"""A grid of samples with their truth drawn on them, to look at before training on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import SIDES, SKELETON
from handmesh_ros.training.data.sample import Sample

COLORS = ((255, 90, 90), (90, 255, 90))
"""RGB of left and right hands."""


def draw_truth(sample: Sample) -> np.ndarray:
    """Return the image with skeletons, boxes, sides and the visible share of every hand.

    Keypoints that are hidden or outside are yellow.
    """
    image = sample.image.copy()
    limit = 4 * max(image.shape[:2])
    points = np.clip(np.round(sample.keypoints_2d), -limit, limit).astype(int)
    boxes = np.clip(np.round(sample.box), -limit, limit).astype(int)
    for i, side in enumerate(sample.is_right):
        color = COLORS[int(side)]
        for start, end in SKELETON:
            cv2.line(image, points[i, start], points[i, end], color, 1, cv2.LINE_AA)
        for point, visible in zip(points[i], sample.keypoints_visible[i], strict=True):
            cv2.circle(image, point, 1, color if visible else (255, 230, 0), -1)
        cv2.rectangle(image, boxes[i, :2].tolist(), boxes[i, 2:].tolist(), color, 1)
        label = f"{SIDES[int(side)]} {sample.visible_fraction[i]:.2f}"
        place = (max(int(boxes[i, 0]), 0), max(int(boxes[i, 1]) - 3, 10))
        cv2.putText(image, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, color, 1, cv2.LINE_AA)
    return image


def write_contact_sheet(path: Path, samples: Sequence[Sample], columns: int = 8) -> None:
    """Write a grid of samples of one size, each with its truth, as an image file.

    Raises:
        HandmeshError: the file cannot be written.
    """
    tiles = [draw_truth(sample) for sample in samples]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % min(columns, len(tiles)))
    columns = min(columns, len(tiles))
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    try:
        written = cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])
    except cv2.error:
        written = False
    if not written:
        raise HandmeshError(f"Cannot write {path}: give a .png that you can write to.")

"""Labels to compare with: a file of 2D keypoints, and which of its entries an image has.

`hands.json` in COCO's format (docs/labels.md) and `labels.json` of a folder of photographs are
read. No torch.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from handmesh_ros.common.files import parse_json
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import SIDES
from handmesh_ros.media.sources import Source
from handmesh_ros.training.data.readers.coco import is_coco
from handmesh_ros.training.data.readers.hand_labels import labels_of_coco
from handmesh_ros.training.data.sample import VERTEX_COUNT, box_of_keypoints, points_inside
from handmesh_ros.training.evaluation.metrics import TrueHands


class Truth:
    """The labels of a file, by image.

    Args:
        path: of the file.

    Raises:
        HandmeshError: it cannot be read, or is of no known format.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            content = parse_json(path.read_bytes())
            labels = labels_of_coco(content).labels if is_coco(content) else content
            self._labels = {posixpath.normpath(name): _entries(labels[name]) for name in labels}
        except (OSError, ValueError, TypeError, KeyError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise HandmeshError(
                f"The truth file {path} cannot be used ({reason}): give hands.json of `handmesh "
                "label` or another file of 21 keypoints in COCO's format."
            ) from error
        names = Counter(posixpath.basename(name) for name in self._labels)
        self._by_file_name = {
            posixpath.basename(name): name
            for name in self._labels
            if names[posixpath.basename(name)] == 1
        }

    def check(self, sources: Iterable[Source]) -> None:
        """Check that the file says something of at least one of the images.

        Raises:
            HandmeshError: it has none of them.
        """
        photographs = [source for source in sources if not source.is_video]
        if photographs and any(self._name_of(source) is not None for source in photographs):
            return
        first = f", first {min(self._labels)!r}" if self._labels else ""
        among = f", first {photographs[0].path}" if photographs else ""
        raise HandmeshError(
            f"The truth file {self._path} has {len(self._labels)} images{first}, and none of them "
            f"is among the {len(photographs)} photographs to look at{among}: give the file that "
            "labels these."
        )

    def of(self, source: Source, width: int, height: int) -> TrueHands | None:
        """Return the true hands of a photograph; None where the file does not say.

        That is: of a video, of an image that is not listed, that has a hand without keypoints, or
        that has another shape than the labelled one.

        Args:
            source: the photograph.
            width: of the image, pixels; labels of a copy in another size are scaled.
            height: of the image, pixels.
        """
        name = None if source.is_video else self._name_of(source)
        if name is None:
            return None
        keypoints, is_right, ignored = [], [], []
        for hand in self._labels[name]:
            scale = _scale(hand.get("size"), width, height)
            if scale is None:
                return None
            if "ignored_box" in hand:
                ignored.append(_scaled(np.reshape(hand["ignored_box"], (2, 2)), scale).ravel())
            elif hand.get("keypoints") is None or hand.get("handedness") not in SIDES:
                return None
            else:
                keypoints.append(_scaled(np.reshape(hand["keypoints"], (21, 2)), scale))
                is_right.append(hand["handedness"] == "right")
        return _true_hands(keypoints, is_right, ignored, width, height)

    def _name_of(self, source: Source) -> str | None:
        """Return what the file calls a photograph."""
        folder = self._path.resolve().parent
        file = source.path.resolve()
        candidates = [
            file.relative_to(place).as_posix()
            for place in (folder, folder / "images")
            if file.is_relative_to(place)
        ]
        for name in (*candidates, source.name.as_posix()):
            if name in self._labels:
                return name
        return self._by_file_name.get(file.name)


def _entries(hands: Any) -> list[dict[str, Any]]:
    entries = hands if isinstance(hands, list) else [hands]
    for entry in entries:
        if not isinstance(entry, dict):
            raise ValueError("it is no list of hands by image")
        if entry.get("keypoints") is not None:
            np.asarray(entry["keypoints"], np.float32).reshape(21, 2)
        elif "ignored_box" in entry:
            np.asarray(entry["ignored_box"], np.float32).reshape(4)
    return entries


def _scale(size: Any, width: int, height: int) -> np.ndarray | None:
    """Return (2,) pixels of the image per pixel of the labelled one; None for another shape."""
    if size is None:
        return np.ones(2)
    scale = np.array([width, height]) / np.array(size, np.float64)
    return scale if abs(scale[0] / scale[1] - 1.0) < 0.02 else None


def _scaled(points: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Scale (N, 2) pixels; the centre of the top-left one is (0, 0)."""
    return (np.asarray(points, np.float64) + 0.5) * scale - 0.5


def _true_hands(
    keypoints: list[np.ndarray],
    is_right: list[bool],
    ignored: list[np.ndarray],
    width: int,
    height: int,
) -> TrueHands:
    count = len(keypoints) + len(ignored)
    points = np.zeros((count, 21, 2), np.float32)
    box = np.zeros((count, 4), np.float32)
    if keypoints:
        points[: len(keypoints)] = keypoints
        box[: len(keypoints)] = box_of_keypoints(points[: len(keypoints)])
    if ignored:
        box[len(keypoints) :] = ignored
    return TrueHands(
        is_right=np.array([*is_right, *(False for _ in ignored)], bool),
        box=box,
        keypoints_2d=points,
        keypoints_counted=points_inside(points, (0, 0, width, height)),
        has_3d=np.zeros(count, bool),
        joints=np.zeros((count, 21, 3), np.float32),
        vertices=np.zeros((count, VERTEX_COUNT, 3), np.float32),
        colors=np.zeros((count, VERTEX_COUNT, 3), np.float32),
        ignored=np.arange(count) >= len(keypoints),
        width=width,
        height=height,
    )

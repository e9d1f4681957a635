"""Targets of `make fuzz`: videos and label files."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fuzz_files import EDITS, VALUES, edited
from fuzz_oracles import check_sentence
from hypothesis import strategies as st

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import KEYPOINT_NAMES
from handmesh_ros.media.videos import read_video
from handmesh_ros.training.data.readers.hand_labels import read_hand_labels

FRAMES, WIDTH, HEIGHT = 8, 64, 48


@functools.cache
def whole_video(suffix: str) -> bytes:
    """A small video of a moving square."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"video{suffix}"
        codec = cv2.VideoWriter_fourcc(*{".avi": "MJPG", ".mp4": "mp4v"}[suffix])
        writer = cv2.VideoWriter(str(path), codec, 25.0, (WIDTH, HEIGHT))
        for number in range(FRAMES):
            image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            image[10:30, 4 * number : 4 * number + 20] = 200
            writer.write(image)
        writer.release()
        return path.read_bytes()


def fuzz_videos(suffix: str, edits: list[tuple[str, float, int, int]]) -> None:
    """A damaged video is named in one sentence; frames that come are in order and have pixels."""
    times = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"video{suffix}"
        path.write_bytes(edited(whole_video(suffix), edits))
        try:
            for frame in read_video(path, max_pixels=10**6):
                assert frame.image.ndim == 3 and frame.image.dtype == np.uint8
                assert frame.time_s is not None and np.isfinite(frame.time_s)
                times.append(frame.time_s)
                if len(times) > 50 * FRAMES:
                    break
        except HandmeshError as problem:
            check_sentence(problem)
    assert times == sorted(times)
    if not edits:
        assert len(times) == FRAMES


def labels(hands: int) -> dict[str, Any]:
    """Labels of one image, as other programs export them."""
    points = [[[10 + n + k, 20 + n, 2] for n in range(21)] for k in range(hands)]
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}],
        "categories": [{"id": 1, "name": "hand", "keypoints": list(KEYPOINT_NAMES)}],
        "annotations": [
            {
                "id": number,
                "image_id": 1,
                "category_id": 1,
                "keypoints": sum(points[number], []),
                "bbox": [10, 20, 30, 30],
                "attributes": {"handedness": "right"},
            }
            for number in range(hands)
        ],
    }


def fuzz_label_files(
    section: str, changes: dict[str, Any], edits: list[tuple[str, float, int, int]], hands: int
) -> None:
    """A label file is refused in one sentence, or every label that is read can be one."""
    content = labels(hands)
    for entry in content[section][:1]:
        entry.update(changes)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "hands.json"
        path.write_bytes(edited(json.dumps(content).encode(), edits))
        try:
            found = read_hand_labels(path)
        except HandmeshError as problem:
            check_sentence(problem)
            return
    assert found.listed >= len(found.labels)
    every = [hand for several in found.labels.values() for hand in several]
    for hand in every:
        if hand.get("keypoints") is not None:
            points = np.asarray(hand["keypoints"], float)
            assert points.shape[0] == 21 and np.isfinite(points).all()
    if not edits and not changes:
        assert len(every) == hands


KEYS = st.sampled_from(
    ["id", "image_id", "category_id", "file_name", "width", "height", "name", "keypoints"]
    + ["bbox", "attributes", "iscrowd", "segmentation", "num_keypoints"]
)
TARGETS: dict[str, tuple[Any, dict[str, st.SearchStrategy]]] = {
    "videos": (fuzz_videos, {"suffix": st.sampled_from([".avi", ".mp4"]), "edits": EDITS}),
    "label_files": (
        fuzz_label_files,
        {
            "section": st.sampled_from(["images", "categories", "annotations"]),
            "changes": st.dictionaries(KEYS, VALUES, max_size=2),
            "edits": EDITS,
            "hands": st.integers(0, 3),
        },
    ),
}

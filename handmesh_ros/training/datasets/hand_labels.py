"""`hands.json`: 2D labels of hands in COCO's keypoint format (docs/labels.md). No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import KEYPOINT_NAMES, SIDES, SKELETON

FILE_NAME = "hands.json"


@dataclass(frozen=True)
class LabelledHand:
    """One hand of an image.

    Attributes:
        keypoints: (21, 2) pixels; None for a hand that is there but not labelled.
        box: (4,) x0, y0, x1, y1 pixels.
        is_right: whether it is a right hand.
        score: confidence in the label, 0 to 1.
        world: (21, 3) metres, the hand's shape in space (see `photographs`); None if unknown.
    """

    keypoints: np.ndarray | None
    box: np.ndarray
    is_right: bool
    score: float
    world: np.ndarray | None = None


@dataclass(frozen=True)
class LabelledImage:
    """One image.

    Attributes:
        name: path below the folder of the file, with forward slashes.
        width: pixels of the upright image.
        height: pixels.
        hands: any number.
    """

    name: str
    width: int
    height: int
    hands: Sequence[LabelledHand]


def write_hand_labels(path: Path, images: Sequence[LabelledImage], source: str) -> None:
    """Write the file; a file that exists is replaced only when the new one is complete.

    Args:
        path: of the file.
        images: what to write.
        source: what made the labels.

    Raises:
        HandmeshError: the file cannot be written.
    """
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(images, start=1):
        for hand in image.hands:
            annotations.append(_annotation(len(annotations) + 1, number, hand))
    content = {
        "info": {"description": "hands", "version": "1", "source": source},
        "images": [
            {"id": n, "file_name": image.name, "width": image.width, "height": image.height}
            for n, image in enumerate(images, start=1)
        ],
        "annotations": annotations,
        "categories": [
            {
                "id": 1,
                "name": "hand",
                "supercategory": "person",
                "keypoints": list(KEYPOINT_NAMES),
                "skeleton": [[parent + 1, child + 1] for parent, child in SKELETON],
            }
        ],
    }
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise HandmeshError(
            f"The labels cannot be written to {path} ({error.strerror}); give another place with "
            "--output or make room."
        ) from error


def read_hand_labels(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the hands of each image in the form of `labels.json` (see `photographs`).

    A hand without 21 labelled keypoints has `keypoints` None, which makes readers leave its image
    out: training on it would teach that the hand is background.

    Raises:
        HandmeshError: the file is missing, cut short or not in the format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = {image["id"]: str(image["file_name"]) for image in content["images"]}
        labels: dict[str, list[dict[str, Any]]] = {name: [] for name in names.values()}
        for annotation in content["annotations"]:
            labels[names[annotation["image_id"]]].append(_hand(annotation))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HandmeshError(
            f"The file {path} is no complete list of hands in COCO's format ({error!r}); write it "
            "again with `handmesh label`."
        ) from error
    return labels


def _annotation(number: int, image: int, hand: LabelledHand) -> dict[str, Any]:
    x0, y0, x1, y1 = (round(float(value), 2) for value in hand.box)
    width, height = round(x1 - x0, 2), round(y1 - y0, 2)
    keypoints: list[float] = [0] * 63
    if hand.keypoints is not None:
        keypoints = [
            value for x, y in hand.keypoints.tolist() for value in (round(x, 2), round(y, 2), 2)
        ]
    world = {} if hand.world is None else {"world": hand.world.astype(float).round(4).tolist()}
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [x0, y0, width, height],
        "area": round(width * height, 2),
        "num_keypoints": 0 if hand.keypoints is None else 21,
        "keypoints": keypoints,
        "handedness": SIDES[int(hand.is_right)],
        "score": round(hand.score, 4),
        **world,
    }


def _hand(annotation: dict[str, Any]) -> dict[str, Any]:
    """Return an annotation in the form of `labels.json`; a wrong keypoint count gives None."""
    points = np.asarray(annotation["keypoints"], np.float32).ravel()
    labelled = points.size == 63 and bool((points[2::3] > 0).all())
    keypoints = points.reshape(21, 3)[:, :2].tolist() if labelled else None
    return {
        "keypoints": keypoints,
        "handedness": annotation.get("handedness"),
        "world": annotation.get("world"),
    }

"""`hands.json`: 2D labels of hands in COCO's keypoint format (docs/labels.md). No torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handmesh_ros.common.files import parse_json
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import KEYPOINT_NAMES, SIDES, SKELETON
from handmesh_ros.training.data.readers.coco import CocoFile, HandCategory, hand_categories

FILE_NAME = "hands.json"

FRAMES_FOLDER = "video_frames"
"""Frames of videos that are labelled lie in this folder beside the file, a folder a video."""


@dataclass(frozen=True)
class LabelledHand:
    """One hand of an image.

    Attributes:
        keypoints: (21, 2) pixels; None for a hand that is there but not labelled.
        box: (4,) x0, y0, x1, y1 pixels.
        is_right: whether it is a right hand.
        score: confidence in the label, 0 to 1.
        world: (21, 3) metres, the hand's shape in space (see `photographs`); None if unknown.
        is_ignored: what the box holds is neither a hand nor background; without keypoints.
    """

    keypoints: np.ndarray | None
    box: np.ndarray
    is_right: bool
    score: float
    world: np.ndarray | None = None
    is_ignored: bool = False


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


@dataclass(frozen=True)
class CocoLabels:
    """What a file in COCO's format says of hands.

    Attributes:
        labels: the hands of each image by its file name, as in `labels.json`; `size` is the width
            and height of the image that was labelled, None where the file does not say.
        listed: how many images the file lists.
        left_out: why images and annotations were left out, and how many.
    """

    labels: dict[str, list[dict[str, Any]]]
    listed: int
    left_out: Counter[str]


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


def read_hand_labels(path: Path) -> CocoLabels:
    """Return what a file in COCO's format says of hands, in the form of `labels.json`.

    Keypoints are put into our order where their category names them in another. A hand without 21
    labelled keypoints has `keypoints` None, which makes readers leave its image out: training on
    it would teach that the hand is background. A place to be ignored (`iscrowd` 1) has
    `ignored_box`.

    Raises:
        HandmeshError: the file is missing, cut short or not in the format.
    """
    try:
        return labels_of_coco(parse_json(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise _no_labels(path, error) from error


def read_labelled_images(path: Path) -> tuple[str, list[LabelledImage]]:
    """Return what made a file's labels, and the images as `write_hand_labels` was given them.

    Raises:
        HandmeshError: the file is missing, cut short, or was not written by `write_hand_labels`.
    """
    try:
        content = parse_json(path.read_bytes())
        hands: dict[Any, list[LabelledHand]] = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            hands[annotation["image_id"]].append(_labelled_hand(annotation))
        images = [
            LabelledImage(image["file_name"], image["width"], image["height"], hands[image["id"]])
            for image in content["images"]
        ]
        return str(content["info"]["source"]), images
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_labels(path, error) from error


def _no_labels(path: Path, error: Exception) -> HandmeshError:
    reason = error.strerror if isinstance(error, OSError) else error
    return HandmeshError(
        f"The file {path} is no complete list of hands in COCO's format ({reason}); write it "
        "again with `handmesh label`."
    )


def labels_of_coco(content: Any) -> CocoLabels:
    """Return what the content of a file in COCO's format says of hands; see `read_hand_labels`.

    Raises:
        ValueError: it is not in the format.
    """
    try:
        return _labels_of(content)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"it is not in COCO's format, {error!r}") from error


def _labels_of(content: Any) -> CocoLabels:
    file = CocoFile.of(content)
    categories = hand_categories(file.categories)
    documented = HandCategory(True, tuple(range(len(KEYPOINT_NAMES))))
    labels, left_out = {}, Counter(file.left_out)
    for key, image in file.images.items():
        hands: list[dict[str, Any]] = []
        for annotation in file.annotations.get(key, ()):
            category_id = annotation.get("category_id")
            if not isinstance(category_id, int | str | None):
                left_out["annotations whose category_id is no number"] += 1
                continue
            category = categories.get(category_id)
            if category is None:  # Of files without categories; others do not say what it is.
                category = documented if not categories else HandCategory(True, None)
            if not category.is_hand:
                left_out["annotations of other things than hands"] += 1
                continue
            hand = _hand(annotation, category, _size(image))
            if hand.get("keypoints") is not None and hand in hands:
                left_out["annotations that are there twice"] += 1
                continue
            hands.append(hand)
        labels[str(image["file_name"])] = hands
    return CocoLabels(labels, file.listed, left_out)


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
        "iscrowd": int(hand.is_ignored),
        "bbox": [x0, y0, width, height],
        "area": round(width * height, 2),
        "num_keypoints": 0 if hand.keypoints is None else 21,
        "keypoints": keypoints,
        "handedness": SIDES[int(hand.is_right)],
        "score": round(hand.score, 4),
        **world,
    }


def _hand(
    annotation: dict[str, Any], category: HandCategory, size: tuple[int, int] | None
) -> dict[str, Any]:
    """Return an annotation in the form of `labels.json`; one that cannot be used has None."""
    if annotation.get("iscrowd") and (box := _box(annotation)) is not None:
        return {"ignored_box": box.tolist(), "size": size}
    attributes = annotation.get("attributes")
    told = annotation.get("handedness")
    if told is None and isinstance(attributes, dict):  # As CVAT exports what was asked for.
        told = attributes.get("handedness")
    side = category.side if told is None else str(told).strip().lower()
    contradiction = category.side is not None and side != category.side
    return {
        "keypoints": None if contradiction else _keypoints(annotation, category.order, size),
        "handedness": side,
        "world": annotation.get("world"),
        "size": size,
    }


def _keypoints(
    annotation: dict[str, Any], order: tuple[int, ...] | None, size: tuple[int, int] | None
) -> list[list[float]] | None:
    """Return 21 × [x, y] in our order, or None where they are not all known."""
    try:
        points = np.asarray(annotation.get("keypoints"), np.float32).reshape(21, 3)
    except (TypeError, ValueError):
        return None
    labelled = np.isfinite(points).all() and (points[:, 2] > 0).all()
    if order is None or annotation.get("iscrowd") or not labelled:
        return None
    if size is not None:
        inside = (points[:, :2] >= -0.5) & (points[:, :2] < np.array(size) - 0.5)
        if not inside.all(axis=1).any():
            return None
    return points[list(order), :2].tolist()


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    """Return the width and height, pixels, of the image that was labelled, where the file says."""
    try:
        width, height = int(image["width"]), int(image["height"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return (width, height) if min(width, height) > 0 else None


def _box(annotation: dict[str, Any]) -> np.ndarray | None:
    """Return (4,) x0, y0, x1, y1 pixels, or None where there is none."""
    try:
        box = np.asarray(annotation["bbox"], np.float32).reshape(4)
    except (KeyError, TypeError, ValueError):
        return None
    usable = np.isfinite(box).all() and (box[2:] > 0).all()
    return np.concatenate([box[:2], box[:2] + box[2:]]) if usable else None


def _labelled_hand(annotation: dict[str, Any]) -> LabelledHand:
    """Return what `_annotation` made an annotation of.

    Raises:
        KeyError, ValueError: something is missing.
    """
    box, world = _box(annotation), annotation.get("world")
    if box is None:
        raise ValueError(f"the hand {annotation['id']} has no box")
    points = np.asarray(annotation["keypoints"], np.float32).reshape(21, 3)
    return LabelledHand(
        keypoints=points[:, :2] if annotation["num_keypoints"] else None,
        box=box,
        is_right=annotation["handedness"] == SIDES[1],
        score=float(annotation["score"]),
        world=None if world is None else np.asarray(world, np.float32),
        is_ignored=bool(annotation["iscrowd"]),
    )

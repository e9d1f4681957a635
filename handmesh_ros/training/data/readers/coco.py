"""What files in COCO's format (cocodataset.org) have in common, whoever wrote them. No torch.

Tools number images by file name, list one file twice when exports are merged, and name keypoints
in the order in which they were drawn. Where the file says what is meant it is put right; where it
does not, the images concerned are left out and counted.
"""

from __future__ import annotations

import logging
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handmesh_ros.hand.conventions import KEYPOINT_NAMES

_HAND = re.compile(r"(?<![a-z])(left|right)?[ _-]?hands?(?![a-z])")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CocoFile:
    """The images of a file, each with one id and one file name, and what belongs to them.

    Attributes:
        images: by id.
        annotations: by the id of their image.
        categories: by id.
        listed: how many images the file lists.
        left_out: why images and annotations were left out, and how many.
    """

    images: dict[Any, dict[str, Any]]
    annotations: dict[Any, list[dict[str, Any]]]
    categories: dict[Any, dict[str, Any]]
    listed: int
    left_out: Counter[str]

    @classmethod
    def of(cls, content: Any) -> CocoFile:
        """Sort the content of a file.

        Raises:
            ValueError: it is not in COCO's format, or cut short.
        """
        try:
            listed = list(content["images"])
            ids = Counter(image["id"] for image in listed)
            names = Counter(_file(image) for image in listed)
            images = {
                image["id"]: image
                for image in listed
                if ids[image["id"]] == 1 and names[_file(image)] == 1
            }
            annotations: defaultdict[Any, list[dict[str, Any]]] = defaultdict(list)
            left_out = Counter({"that share an id or a file": len(listed) - len(images)})
            for annotation in content["annotations"]:
                annotations[annotation["image_id"]].append(annotation)
                left_out["annotations of images that are not listed"] += (
                    annotation["image_id"] not in ids
                )
            categories = {one["id"]: one for one in content.get("categories") or ()}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it is not in COCO's format or cut short, {error!r}") from error
        return cls(images, dict(annotations), categories, len(listed), +left_out)


def _file(image: dict[str, Any]) -> str:
    """Return the name that an image's file has, however its path is written."""
    return posixpath.normpath(str(image["file_name"]))


def is_coco(content: Any) -> bool:
    """Return whether a JSON file's content is in COCO's format."""
    return isinstance(content, dict) and all(
        isinstance(content.get(name), list) for name in ("images", "annotations")
    )


@dataclass(frozen=True)
class HandCategory:
    """What a category says of its annotations.

    Attributes:
        is_hand: whether they are hands.
        order: for each of our keypoints its place in theirs; None where their names are others.
        side: "left", "right" or None where the category's name tells none.
    """

    is_hand: bool
    order: tuple[int, ...] | None
    side: str | None = None


def hand_categories(categories: Mapping[Any, Mapping[str, Any]]) -> dict[Any, HandCategory]:
    """Return what each category is.

    A hand is what is called so or has our keypoints; where a file has neither, its only category,
    and whatever has keypoints of other names, so that no such image is trained on.
    """
    orders = {key: _order(one.get("keypoints")) for key, one in categories.items()}
    called = {
        key: _HAND.search(str(one.get("name", "")).lower()) for key, one in categories.items()
    }
    certain = any(called.values()) or any(map(_is_ours, categories.values()))
    found = {}
    for key, one in categories.items():
        if certain:
            is_hand = bool(called[key]) or _is_ours(one)
        else:
            is_hand = len(categories) == 1 or orders[key] is None
        name = called[key]
        found[key] = HandCategory(is_hand, orders[key], name.group(1) if name else None)
    return found


def _is_ours(category: Mapping[str, Any]) -> bool:
    return bool(category.get("keypoints")) and _order(category["keypoints"]) is not None


def _order(names: Any) -> tuple[int, ...] | None:
    if not isinstance(names, list | None):
        return None
    if not names:
        return tuple(range(len(KEYPOINT_NAMES)))  # As documented.
    plain = [re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_") for name in names]
    if sorted(plain) != sorted(KEYPOINT_NAMES):
        return None
    return tuple(plain.index(name) for name in KEYPOINT_NAMES)


def log_use(file: object, read: int, used: int, left_out: Counter[str]) -> None:
    """Say in one line what became of a file's images: a warning where some were left out.

    Args:
        file: that was read.
        read: images that it lists.
        used: of these.
        left_out: why the others were not, and how many.
    """
    reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
    _log.log(
        logging.WARNING if reasons else logging.INFO,
        "%s: %d images read, %d used%s.",
        file,
        read,
        used,
        f"; left out: {reasons}" if reasons else "",
    )

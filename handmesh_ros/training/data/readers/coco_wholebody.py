"""The hands of COCO-WholeBody (Jin et al., ECCV 2020) as samples with 2D labels.

On disk (github.com/jin-s13/COCO-WholeBody, data_format.md): `annotations/
coco_wholebody_SPLIT_v1.0.json` in COCO's form, with `lefthand_kpts` and `righthand_kpts`
(21 × x, y, v in our keypoint order), `…hand_box` (x, y, w, h) and `…hand_valid` for each person;
COCO's images in `SPLIT2017/`. Sides are the person's own. Of a valid hand v is the confidence of
its keypoints, any number above 0, as the data set's authors say; it
does not tell whether they can be seen.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.data.readers.coco import CocoFile, log_use
from handmesh_ros.training.data.readers.files import read_image, read_json
from handmesh_ros.training.data.sample import Sample

NAME = "COCO-WholeBody"
_BODY_ELBOW, _BODY_WRIST = {"left": 7, "right": 8}, {"left": 9, "right": 10}


class CocoWholeBody:
    """The images of one split that show labelled hands; indexing gives a `Sample`.

    A hand with all 21 keypoints is a label. One that the annotators did not label, or labelled in
    part, gets `visible_fraction` 0 and the box where it must be, so that training neither demands
    nor forbids it there; where the body's wrist is not labelled either it is off the image or
    hidden. Images with crowds (`iscrowd`), with people without labels of hands, or without any
    complete hand, are left out; one line in the log says how many.

    Args:
        folder: holds `annotations/` and `train2017/` or `val2017/`.
        split: "train" or "val".
        need_labels: must be True.

    Raises:
        HandmeshError: a file is missing, damaged or cut short, or no image is usable.
    """

    splits = ("train", "val")
    has_labels = True

    def __init__(self, folder: Path, split: str = "train", need_labels: bool = True) -> None:
        self.folder, self.split = Path(folder), split
        path = self.folder / "annotations" / f"coco_wholebody_{split}_v1.0.json"
        data = read_json(path, NAME)
        try:
            file = CocoFile.of(data)
            self._images, left_out = [], Counter(file.left_out)
            for key, image in file.images.items():
                people = [
                    person
                    for person in file.annotations.get(key, ())
                    if _is_person(person, file.categories)
                ]
                if reason := _reason_against(people):
                    left_out[reason] += 1
                else:
                    self._images.append((image, people))
        except (KeyError, TypeError, ValueError) as error:
            raise HandmeshError(
                f"{path} is cut short or no annotation of {NAME} ({error!r}); unpack it again."
            ) from error
        log_use(path, file.listed, len(self._images), left_out)
        if not self._images:
            raise HandmeshError(f"{path} lists no image with a completely labelled hand.")

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        image, people = self._images[index]
        found = [(person, side) for person in people for side in ("left", "right")]
        hands = [hand for person, side in found if (hand := _hand(person, side)) is not None]
        keypoints, visible, boxes, sides = (list(values) for values in zip(*hands, strict=True))
        sample = Sample.from_keypoints(
            read_image(self.folder / f"{self.split}2017" / image["file_name"], NAME),
            np.stack(keypoints),
            np.array(sides),
            keypoints_visible=np.stack(visible),
            source=f"coco_wholebody/{self.split}/{image['file_name']}",
        )
        ignored = np.array([box is not None for box in boxes])
        box = sample.box.copy()
        for row in np.flatnonzero(ignored):
            box[row] = boxes[row]
        fraction = np.where(ignored, 0, sample.visible_fraction).astype(np.float32)
        return sample.replace(box=box, visible_fraction=fraction)


def _keypoints(person: dict[str, Any], side: str) -> np.ndarray:
    """Return (21, 3) x, y, v of a hand; ValueError for another count."""
    return np.asarray(person[f"{side}hand_kpts"], np.float32).reshape(21, 3)


def _is_complete(person: dict[str, Any], side: str) -> bool:
    return bool(person[f"{side}hand_valid"] and (_keypoints(person, side)[:, 2] > 0).all())


def _is_person(annotation: dict[str, Any], categories: dict[Any, dict[str, Any]]) -> bool:
    """Return whether an annotation is of a person: what its category says, if it says anything."""
    category = categories.get(annotation.get("category_id"))
    return category is None or category.get("name", "person") == "person"


def _reason_against(people: list[dict[str, Any]]) -> str:
    """Return why an image with these people is left out; "" where it is used."""
    if any(person.get("iscrowd") for person in people):
        return "with crowds"
    if not all(f"{side}hand_valid" in person for person in people for side in ("left", "right")):
        return "with people whose hands nobody looked at"
    if not any(_is_complete(person, side) for person in people for side in ("left", "right")):
        return "without a completely labelled hand"
    return ""


def _hand(
    person: dict[str, Any], side: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, bool] | None:
    """Return keypoints (21, 2), labelled (21,), the box if it is to be ignored, and is_right.

    None where there is no sign of the hand.
    """
    points = _keypoints(person, side)
    if _is_complete(person, side):
        return points[:, :2], np.ones(21, bool), None, side == "right"
    if person[f"{side}hand_valid"]:
        x, y, width, height = person[f"{side}hand_box"]
        box = np.array([x, y, x + width, y + height], np.float32)
    else:
        body = np.asarray(person["keypoints"], np.float32).reshape(17, 3)
        wrist, elbow = body[_BODY_WRIST[side]], body[_BODY_ELBOW[side]]
        if not wrist[2] > 0:
            return None
        box = _box_beyond(wrist, elbow, person["bbox"])
    middle = np.broadcast_to((box[:2] + box[2:]) / 2, (21, 2))
    return middle, np.zeros(21, bool), box, side == "right"


def _box_beyond(wrist: np.ndarray, elbow: np.ndarray, person_box: list[float]) -> np.ndarray:
    """Return (4,) where a hand that only its arm shows must be.

    A hand is about as long as three quarters of the forearm; without an elbow, a seventh of what
    is seen of the person.
    """
    if elbow[2] > 0:
        half = 0.375 * float(np.linalg.norm(wrist[:2] - elbow[:2]))
        centre = wrist[:2] + 0.375 * (wrist[:2] - elbow[:2])
    else:
        half, centre = max(person_box[2:]) / 14, wrist[:2]
    half = max(half, 1.0)
    return np.concatenate([centre - half, centre + half]).astype(np.float32)

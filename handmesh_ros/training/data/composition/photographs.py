"""Labelled photographs: a folder of images and the 2D keypoints of their hands.

A set is a folder with `labels.json` and `images/`. The file maps an image's path below `images/`
to one hand or to a list of hands, each `{"keypoints": 21 × [x, y] in pixels, "handedness": "left"
or "right"}` in the keypoint order of `hand/conventions.py`. The side is the anatomical one as the
hand is seen in the image; a mirrored selfie counts as what it looks like. A hand may have
`"world"`, 21 × [x, y, z] metres about any origin, in the frame of a camera that looks straight at
the hand, as MediaPipe gives them: pseudo-labels of its shape in space. An entry `{"ignored_box":
[x0, y0, x1, y1]}`, pixels, is a place that is neither a hand nor background.

A folder with `hands.json`, COCO's format as `handmesh label` writes it, is a set as well; its
images lie where the file says, relative to the folder.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from handmesh_ros.common.files import parse_json
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import SIDES, SKELETON, WRIST
from handmesh_ros.media.folders import files_below
from handmesh_ros.media.photos import read_photo
from handmesh_ros.network.placement import ray_rotation
from handmesh_ros.training.data.readers import hand_labels
from handmesh_ros.training.data.readers.coco import is_coco, log_use
from handmesh_ros.training.data.sample import Sample, points_inside

Split = Literal["train", "val", "all"]

VALIDATION_PERCENT = 10
BONES_LENGTH = 0.849
"""Sum of the lengths of the average hand's 20 bones (`SKELETON`), metres."""

_BURST = 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Photograph:
    """One photograph and its labels.

    Attributes:
        path: the image file.
        keypoints: (N, 21, 2) float32, pixels.
        is_right: (N,) bool.
        world: (N, 21, 3) float32 metres, see above; zeros for hands without.
        ignored: (M, 4) float32 x0, y0, x1, y1 pixels, neither hands nor background.
        source_set: name of the folder it belongs to.
        name: its path below `images/`, as in `labels.json`.
        size: width and height, pixels, of the image that was labelled; None where not known.
    """

    path: Path
    keypoints: np.ndarray
    is_right: np.ndarray
    world: np.ndarray
    ignored: np.ndarray
    source_set: str
    name: str
    size: tuple[int, int] | None = None

    def read(self, with_joints: bool = False, with_ignored: bool = False) -> Sample:
        """Return the photograph as a sample with 2D labels.

        Args:
            with_joints: fill in `joints` and `translation` where `world` is known. They are no
                complete 3D labels (`has_3d` 0) until `fit_samples` makes them so.
            with_ignored: the boxes to be ignored follow as hands whose `visible_fraction` is 0,
                so that training neither demands nor forbids a hand there.

        Raises:
            HandmeshError: the image cannot be read, is not the one that was labelled, or a hand
                lies outside of it.
        """
        image = read_photo(self.path)
        height, width = image.shape[:2]
        keypoints = self._points_in(self.keypoints, width, height)
        if not points_inside(keypoints, (0, 0, width, height)).any(axis=1).all():
            raise HandmeshError(
                f"A hand of {self.path} lies outside of the image: correct or remove its label."
            )
        ignored = self.ignored if with_ignored else self.ignored[:0]
        corners = self._points_in(ignored.reshape(-1, 2, 2), width, height)
        sample = Sample.from_keypoints(
            image,
            np.concatenate([keypoints, np.repeat(corners.mean(1, keepdims=True), 21, axis=1)]),
            np.concatenate([self.is_right, np.zeros(len(ignored), bool)]),
            source=f"{self.source_set}/{self.name}",
        )
        if len(ignored):
            sample = _hidden(sample, corners.reshape(-1, 4))
        if not with_joints:
            return sample
        worlds = np.concatenate([self.world, np.zeros((len(ignored), 21, 3), np.float32)])
        joints = np.stack(
            [
                joints_on_rays(world, points, sample.intrinsics)
                for world, points in zip(worlds, sample.keypoints_2d, strict=True)
            ]
        )
        return sample.replace(joints=joints, translation=joints[:, WRIST])

    def _points_in(self, points: np.ndarray, width: int, height: int) -> np.ndarray:
        """Return points (..., 2) in an image that is the labelled one or a copy in another size.

        Raises:
            HandmeshError: its shape is another.
        """
        if self.size is None or self.size == (width, height):
            return points
        labelled = np.array(self.size, np.float32)
        scale = np.array([width, height], np.float32) / labelled
        if abs(labelled[0] * scale[1] - width) > 1 and abs(labelled[1] * scale[0] - height) > 1:
            raise HandmeshError(
                f"{self.path} has {width} × {height} pixels, but its label is for "
                f"{self.size[0]} × {self.size[1]}: it was turned or cut since, so label it again."
            )
        return (points + 0.5) * scale - 0.5


def joints_on_rays(world: np.ndarray, keypoints: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Place a hand of known shape so that it is seen at its keypoints.

    The hand gets the average hand's size: a photograph does not tell. It is turned to the ray
    through its middle and moved by least squares (linear: each keypoint says (X + t) × ray = 0).
    Depths are kept then, and joints moved onto their keypoints' rays, so that 2D and 3D agree.

    Args:
        world: (21, 3) metres, any origin, seen straight on.
        keypoints: (21, 2) pixels.
        intrinsics: (4,) fx, fy, cx, cy, pixels.

    Returns:
        (21, 3) float32 metres, camera frame; zeros where the shape is not known (zeros) or no
        place in front of the camera fits.
    """
    if not world.any():
        return np.zeros((21, 3), np.float32)
    rays = (keypoints.astype(np.float64) - intrinsics[2:]) / intrinsics[:2]  # (21, 2), at z = 1
    bones = np.array(SKELETON)
    length = np.linalg.norm(world[bones[:, 0]] - world[bones[:, 1]], axis=1).sum()
    turn = ray_rotation(torch.from_numpy(rays.mean(0))[None])[0].numpy()
    shape = BONES_LENGTH / length * (world - world[WRIST]) @ turn.T
    ones, zeros = np.ones(len(rays)), np.zeros(len(rays))
    equations = np.concatenate(
        [np.stack([ones, zeros, -rays[:, 0]], 1), np.stack([zeros, ones, -rays[:, 1]], 1)]
    )
    offsets = (rays * shape[:, 2:] - shape[:, :2]).T.ravel()
    place, *_ = np.linalg.lstsq(equations, offsets, rcond=None)
    depth = shape[:, 2:] + place[2]
    if depth.min() < 0.05:
        return np.zeros((len(rays), 3), np.float32)
    return np.concatenate([rays * depth, depth], axis=1).astype(np.float32)


def read_photographs(folder: str | Path, split: Split = "all") -> list[Photograph]:
    """Return the photographs of one set, sorted by name.

    Images that are missing and labels without 21 keypoints or without a side are left out, and one
    sentence in the log says how many.

    Args:
        folder: a set: `labels.json` and `images/`, or `hands.json`.
        split: "train", "val" or "all", decided by `is_validation`.

    Raises:
        HandmeshError: there is no readable `labels.json`, or nothing usable is in it.
    """
    folder = Path(folder)
    file, labels, images = _read_labels(folder)
    photographs, left_out = [], Counter(labels.left_out)
    others = 0
    for name, entry in sorted(labels.labels.items()):
        if split != "all" and is_validation(folder.name, name) != (split == "val"):
            others += 1
            continue
        path = images / name
        boxes = [box for hand in _as_list(entry) if (box := _ignored_box(hand)) is not None]
        hands = [hand for hand in _as_list(entry) if _is_usable(hand)]
        if not path.is_file():
            left_out["without an image"] += 1
        elif not hands or len(hands) + len(boxes) < len(_as_list(entry)):
            left_out["without a usable label for every hand"] += 1
        else:
            photographs.append(_photograph(path, hands, boxes, folder.name, name))
    log_use(file, labels.listed - others, len(photographs), left_out)
    if not photographs:
        raise HandmeshError(
            f"No usable photograph of the split '{split}' is listed in {file}; "
            "each needs an image, 21 keypoints and a handedness, and the hash of its name chooses "
            "its split: about one in ten is for val."
        )
    return photographs


def read_samples(
    photographs: list[Photograph], with_joints: bool = False, with_ignored: bool = False
) -> Iterator[Sample]:
    """Yield the photographs as samples; broken images are skipped and counted in the log.

    Args:
        photographs: to read.
        with_joints: see `Photograph.read`.
        with_ignored: see there, too.
    """
    broken, first = 0, ""
    for photograph in photographs:
        try:
            yield photograph.read(with_joints, with_ignored)
        except HandmeshError as error:
            broken, first = broken + 1, first or str(error)
    if broken:
        _log.warning("Skipped %d of %d images. The first: %s", broken, len(photographs), first)


def find_sets(folder: str | Path) -> list[Path]:
    """Return the sets below a folder, sorted: itself or any descendant with a file of labels.

    Raises:
        HandmeshError: there is none, or a folder cannot be read.
    """
    names = ("labels.json", hand_labels.FILE_NAME)
    sets = sorted({path.parent for path in files_below(folder) if path.name in names})
    if not sets:
        raise HandmeshError(
            f"No labels.json or hands.json lies in or below {folder}; give a labelled folder, or "
            "label it with `handmesh label`."
        )
    return sets


def is_validation(source_set: str, name: str) -> bool:
    """Return whether a photograph belongs to the validation split.

    The answer depends on the names only and never changes. Photographs taken in one go fall on the
    same side, see `source_group`.
    """
    digest = hashlib.sha256(f"{source_set}/{source_group(name)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100 < VALIDATION_PERCENT


def source_group(name: str) -> str:
    """Return what a photograph shares with the near-duplicates it must not be separated from.

    Versions of one source (`A11_a`, `A11_b`) share their stem. Numbered shots of a camera
    (`IMG_1118`, `IMG-20230312-WA0064`, `2_pic00443`) share the burst of 20 they fall in, whatever
    class folder they were sorted into. Names with a random identifier share what precedes it.
    Labelled frames of a video (`hand_labels.FRAMES_FOLDER`) share their video.
    """
    if hand_labels.FRAMES_FOLDER in Path(name).parts[:-1]:
        return Path(name).parent.as_posix()
    stem = Path(name).stem
    if version := re.fullmatch(r"(.*\d)_[a-z]", stem):
        return version.group(1)
    if unique := re.match(r"(.+?)-[0-9a-f]{8}-[0-9a-f]{4}-", stem):
        return unique.group(1)
    if numbered := re.fullmatch(r"(.*?)(\d{3,})", stem):
        return f"{numbered.group(1)}{int(numbered.group(2)) // _BURST}"
    return stem


def _read_labels(folder: Path) -> tuple[Path, hand_labels.CocoLabels, Path]:
    """Return a set's file of labels, the hands of each image, and the folder of the images."""
    file = folder / "labels.json"
    if not file.exists() and (folder / hand_labels.FILE_NAME).exists():
        file = folder / hand_labels.FILE_NAME
        return file, hand_labels.read_hand_labels(file), folder
    try:
        labels = parse_json(file.read_bytes())
    except (OSError, ValueError) as problem:
        raise HandmeshError(
            f"The folder {folder} has no readable labels.json ({problem}); give a folder that "
            "holds labels.json and images/."
        ) from problem
    if is_coco(labels):  # An export that was given this name.
        images = folder / "images"
        return file, hand_labels.read_hand_labels(file), images if images.is_dir() else folder
    if not isinstance(labels, dict):
        raise HandmeshError(
            f"{file} holds no object that maps images to hands; write it as docs/labels.md says."
        )
    return file, hand_labels.CocoLabels(labels, len(labels), Counter()), folder / "images"


def _as_list(entry: Any) -> list[Any]:
    if entry is None:
        return []
    return entry if isinstance(entry, list) else [entry]


def _is_usable(hand: Any) -> bool:
    if not isinstance(hand, dict) or hand.get("handedness") not in SIDES:
        return False
    try:
        keypoints = np.asarray(hand.get("keypoints"), np.float32)
    except (TypeError, ValueError):
        return False
    if keypoints.shape != (21, 2) or not np.isfinite(keypoints).all():
        return False
    return bool((np.ptp(keypoints, axis=0) > 1).any())  # Fractions of the image are no pixels.


def _ignored_box(hand: Any) -> np.ndarray | None:
    """Return (4,) of an entry that is to be ignored; None of any other."""
    try:
        box = np.asarray(hand["ignored_box"], np.float32)
    except (KeyError, TypeError, ValueError):
        return None
    return box if box.shape == (4,) and bool(np.isfinite(box).all()) else None


def _hidden(sample: Sample, boxes: np.ndarray) -> Sample:
    """Return the sample with its last hands being boxes (M, 4) of which nothing is visible."""
    box, fraction = sample.box.copy(), sample.visible_fraction.copy()
    visible = sample.keypoints_visible.copy()
    box[-len(boxes) :], fraction[-len(boxes) :], visible[-len(boxes) :] = boxes, 0, 0
    return sample.replace(box=box, visible_fraction=fraction, keypoints_visible=visible)


def _photograph(
    path: Path, hands: list[Any], boxes: list[np.ndarray], source_set: str, name: str
) -> Photograph:
    size = hands[0].get("size")  # A tuple comes from `hand_labels` only.
    return Photograph(
        path=path,
        keypoints=np.asarray([hand["keypoints"] for hand in hands], np.float32),
        is_right=np.array([hand["handedness"] == "right" for hand in hands]),
        world=np.stack([_world(hand.get("world")) for hand in hands]),
        ignored=np.array(boxes, np.float32).reshape(-1, 4),
        source_set=source_set,
        name=name,
        size=size if isinstance(size, tuple) else None,
    )


def _world(values: Any) -> np.ndarray:
    """Return (21, 3) float32 metres, zeros where a hand has none that can be used."""
    try:
        points = np.asarray(values, np.float32)
    except (TypeError, ValueError):
        points = np.zeros(0, np.float32)
    usable = points.shape == (21, 3) and bool(np.isfinite(points).all())
    return points if usable else np.zeros((21, 3), np.float32)

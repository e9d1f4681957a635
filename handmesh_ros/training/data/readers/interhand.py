"""InterHand2.6M (Moon et al., ECCV 2020), 5 or 30 fps, as samples with one or two hands.

On disk (github.com/facebookresearch/InterHand2.6M): `annotations/SPLIT/` (or, in the first
release, `annotations/all/`) has `InterHand2.6M_SPLIT_data.json` in COCO's form,
`…_camera.json` and `…_joint_3d.json`; `images/SPLIT/` the images. Joints are 42 × 3 millimetres in
the world frame: the right hand's 20 from the tip to the palm, thumb to little finger, its wrist,
then the same of the left hand. A camera's `campos` is its centre in the world, `camrot` turns the
world into the camera frame.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.data.readers.annotated import sample_of_joints
from handmesh_ros.training.data.readers.coco import CocoFile, log_use
from handmesh_ros.training.data.readers.files import read_image, read_json
from handmesh_ros.training.data.sample import Sample

NAME = "InterHand2.6M"

JOINT_ORDER = [20, *(4 * finger + part for finger in range(5) for part in (3, 2, 1, 0))]
"""For each of our 21 keypoints its place among the 21 joints of one hand."""

_SIDES = {"right": (True,), "left": (False,), "interacting": (True, False)}


class InterHand:
    """The samples of one split; indexing gives a `Sample`.

    Images of which a hand that is there lacks some of its 21 joints are left out, since they
    would teach that it is background; the log says how many.

    Args:
        folder: holds `annotations/` and `images/`.
        split: "train", "val" or "test".
        need_labels: must be True; every release has labels.
        complete_only: False to keep the images that are left out: the official evaluation
            counts the joints that they have.

    Raises:
        HandmeshError: a file is missing, damaged or cut short, or no image is usable.
    """

    splits = ("train", "val", "test")
    has_labels = True

    def __init__(
        self,
        folder: Path,
        split: str = "train",
        need_labels: bool = True,
        complete_only: bool = True,
    ) -> None:
        self.folder, self.split = Path(folder), split
        annotations = self.folder / "annotations" / split
        if not annotations.is_dir() and (self.folder / "annotations" / "all").is_dir():
            annotations = self.folder / "annotations" / "all"
        self._data = annotations / f"InterHand2.6M_{split}_data.json"
        data = read_json(self._data, NAME)
        self._cameras = read_json(annotations / f"InterHand2.6M_{split}_camera.json", NAME)
        self._joints = read_json(annotations / f"InterHand2.6M_{split}_joint_3d.json", NAME)
        try:
            file = CocoFile.of(data)
        except ValueError as error:
            raise HandmeshError(
                f"{self._data} is no complete annotation of {NAME} ({error}); unpack it again."
            ) from error
        every = [
            (image, label)
            for key, image in file.images.items()
            for label in file.annotations.get(key, ())
        ]
        self._labels = [
            (image, label)
            for image, label in every
            if self._complete(image, label) or not complete_only
        ]
        left_out = Counter(file.left_out)
        left_out["in which a hand lacks joints"] = len(every) - len(self._labels)
        log_use(self._data, file.listed, len(self._labels), left_out)
        if not self._labels:
            raise HandmeshError(f"{self._data} lists no image whose hands have all 21 joints.")

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Sample:
        image, label = self._labels[index]
        sides = np.array(_SIDES[label["hand_type"]])
        joints, valid, intrinsics = self.labelled_joints(index)
        hands = np.where(sides, 0, 1)
        sample = sample_of_joints(
            self.image(index),
            joints[hands],
            sides,
            intrinsics,
            source=f"interhand/{self.split}/{image['file_name']}",
        )
        visible = valid[hands] & sample.keypoints_visible.astype(bool)
        return sample.replace(keypoints_visible=visible.astype(np.uint8))

    def image(self, index: int) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB."""
        name = self._labels[index][0]["file_name"]
        return read_image(self.folder / "images" / self.split / name, NAME)

    def labelled_joints(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the joints of the right, then the left hand, whether they are there or not.

        Returns:
            joints (2, 21, 3) metres in the camera frame; valid (2, 21) bool, labelled and inside
            the image; intrinsics (4,).
        """
        image, label = self._labels[index]
        joints, intrinsics = self._in_camera(image)
        valid = np.asarray(label["joint_valid"], bool).reshape(2, 21)
        return joints.reshape(2, 21, 3)[:, JOINT_ORDER], valid[:, JOINT_ORDER], intrinsics

    def hand_type(self, index: int) -> tuple[str, bool]:
        """Return "right", "left" or "interacting", and whether that label is trusted."""
        label = self._labels[index][1]
        return label["hand_type"], bool(np.asarray(label.get("hand_type_valid", 1)).all())

    def _frame(self, image: dict[str, Any]) -> dict[str, Any]:
        return self._joints[str(image["capture"])][str(image["frame_idx"])]

    def _complete(self, image: dict[str, Any], label: dict[str, Any]) -> bool:
        """Whether every hand that is there has all joints (in 3D; some may lie off the image)."""
        try:
            frame = self._frame(image)
            valid = np.asarray(frame.get("joint_valid", label["joint_valid"])).reshape(2, 21)
            return all(valid[0 if side else 1].all() for side in _SIDES[label["hand_type"]])
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            raise HandmeshError(
                f"The image {image.get('file_name')} of {self._data} has no usable label "
                f"({error!r}): the annotations are cut short; unpack them again."
            ) from error

    def _in_camera(self, image: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return (42, 3) joints, metres in the camera frame, and (4,) intrinsics."""
        try:
            camera, name = self._cameras[str(image["capture"])], str(image["camera"])
            centre = np.asarray(camera["campos"][name], np.float64)
            rotation = np.asarray(camera["camrot"][name], np.float64)
            intrinsics = np.concatenate([camera["focal"][name], camera["princpt"][name]])
            world = np.asarray(self._frame(image)["world_coord"], np.float64).reshape(42, 3)
        except (KeyError, TypeError, ValueError) as error:
            raise HandmeshError(
                f"The cameras or joints of {NAME} lack {error} for {image.get('file_name')}; "
                "unpack the annotations again."
            ) from error
        return ((world - centre) @ rotation.T / 1000).astype(np.float32), intrinsics

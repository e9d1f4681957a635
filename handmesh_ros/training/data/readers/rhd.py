"""The Rendered Hand Pose Dataset (Zimmermann and Brox, ICCV 2017) as samples.

On disk (`RHD_published_v2/`, github.com/lmb-freiburg/hand3d): `SPLIT/anno_SPLIT.pickle` maps a
number to `K` (3, 3), `xyz` (42, 3) metres in the camera frame and `uv_vis` (42, 3) pixels and
visibility, the left hand's 21 first: wrist, then thumb to little finger, each from the tip to the
palm. `SPLIT/color/00000.png` is the image, `SPLIT/mask/00000.png` has 0 for background, 1 for
the person, 2–17 for the left and 18–33 for the right hand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.data.readers.annotated import camera_of, sample_of_joints
from handmesh_ros.training.data.readers.files import read_image, read_mask, read_pickle
from handmesh_ros.training.data.sample import Sample

NAME = "RHD"

JOINT_ORDER = [0, *(1 + 4 * finger + part for finger in range(5) for part in (3, 2, 1, 0))]
"""For each of our 21 keypoints its place among the 21 of one hand."""

_PARTS = ((2, 17), (18, 33))
"""First and last mask value of the left and the right hand."""


class Rhd:
    """The samples of one split; indexing gives a `Sample` with the hands that can be seen.

    A hand is seen when a pixel of the mask belongs to it. Samples may have no hand.

    Args:
        folder: holds `training/` and `evaluation/`.
        split: "training" or "evaluation".
        need_labels: must be True; every release has labels.

    Raises:
        HandmeshError: the annotation is missing, damaged or empty.
    """

    splits = ("training", "evaluation")
    has_labels = True

    def __init__(self, folder: Path, split: str = "training", need_labels: bool = True) -> None:
        self.folder, self.split = Path(folder), split
        path = self.folder / split / f"anno_{split}.pickle"
        labels = read_pickle(path, NAME)
        if not isinstance(labels, dict) or not labels:
            raise HandmeshError(f"{path} lists no samples; unpack the data set again.")
        self._labels = sorted(labels.items())

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Sample:
        number, label = self._labels[index]
        name, source = f"{number:05d}.png", f"rhd/{self.split}/{number:05d}"
        try:
            joints = np.asarray(label["xyz"], np.float32).reshape(2, 21, 3)
            visible = np.asarray(label["uv_vis"]).reshape(2, 21, 3)[..., 2] > 0.5
            intrinsics = camera_of(label["K"])
        except (KeyError, TypeError, ValueError) as error:
            raise HandmeshError(
                f"The RHD label of {source} is not 42 joints and a camera ({error}); unpack the "
                "annotations again."
            ) from error
        image = read_image(self.folder / self.split / "color" / name, NAME)
        parts = read_mask(self.folder / self.split / "mask" / name, NAME)
        areas = [(parts >= first) & (parts <= last) for first, last in _PARTS]
        sides = np.array([side for side, area in enumerate(areas) if area.any()], int)
        mask = np.zeros(parts.shape, np.uint8)
        for number_in_image, side in enumerate(sides, start=1):
            mask[areas[side]] = number_in_image
        return sample_of_joints(
            image,
            joints[sides][:, JOINT_ORDER],
            sides == 1,
            intrinsics,
            keypoints_visible=visible[sides][:, JOINT_ORDER],
            visible_fraction=visible[sides].mean(axis=1),
            mask=mask,
            source=source,
        )

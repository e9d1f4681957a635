"""HO-3D versions 2 and 3 (Hampali et al., CVPR 2020) as samples: one right hand with an object.

On disk (github.com/shreyashampali/ho3d): `train.txt` and `evaluation.txt` list `SEQUENCE/ID`;
`SPLIT/SEQUENCE/rgb/ID.png` (version 2) or `.jpg` (version 3) is the image and `…/meta/ID.pkl` a
dictionary with `camMat` (3, 3) and `handJoints3D`, metres in the OpenGL camera frame (y up, the
hand at negative z): (21, 3) in `train`, wrist, then MANO's joints, then the tips of thumb, index,
middle, ring and little finger; (3,) in `evaluation`, the wrist alone, beside `handBoundingBox`.
`evaluation_xyz.json`, where it is there, has the 21 joints of the evaluation split in that order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import FINGERTIP_KEYPOINTS, KEYPOINT_FROM_MODEL_JOINT
from handmesh_ros.training.data.readers.annotated import camera_of, check_lengths, sample_of_joints
from handmesh_ros.training.data.readers.files import read_image, read_json, read_lines, read_pickle
from handmesh_ros.training.data.sample import Sample

NAME = "HO-3D"

FROM_OPENGL = np.array([1.0, -1.0, -1.0], np.float32)
"""Signs that take OpenGL's camera frame to the optical one, and back."""


def _joint_order() -> list[int]:
    order = list(KEYPOINT_FROM_MODEL_JOINT)
    for tip, keypoint in enumerate(FINGERTIP_KEYPOINTS):
        order[keypoint] = 16 + tip
    return order


JOINT_ORDER = _joint_order()
"""For each of our 21 keypoints its place in HO-3D's joints."""


class Ho3d:
    """The samples of one split; indexing gives a `Sample`.

    Args:
        folder: holds `train.txt`, `evaluation.txt` and the folders of the same names.
        split: "train" or "evaluation".
        need_labels: False to do without `evaluation_xyz.json`: samples then have no hands.

    Attributes:
        has_labels: whether samples have hands.

    Raises:
        HandmeshError: a file is missing, damaged or cut short.
    """

    splits = ("train", "evaluation")

    def __init__(self, folder: Path, split: str = "train", need_labels: bool = True) -> None:
        self.folder, self.split = Path(folder), split
        index = self.folder / f"{split}.txt"
        self._frames = read_lines(index, NAME)
        lengths = {index: len(self._frames)}
        joints = self.folder / f"{split}_xyz.json"
        self._joints = None
        if split == "evaluation" and (need_labels or joints.is_file()):
            self._joints = read_json(joints, NAME, list)
            lengths[joints] = len(self._joints)
        self.has_labels = split == "train" or self._joints is not None
        check_lengths(lengths)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        frame = self._frames[index]
        image = read_image(self._image(frame), NAME)
        labels = self.meta(index)
        intrinsics = camera_of(labels["camMat"])
        source = f"ho3d/{self.split}/{frame}"
        if not self.has_labels:
            empty = Sample.from_keypoints(image, np.zeros((0, 21, 2)), np.zeros(0), source=source)
            return empty.replace(intrinsics=intrinsics)
        joints = labels.get("handJoints3D") if self._joints is None else self._joints[index]
        if joints is None:
            raise HandmeshError(f"The frame {frame} of HO-3D has no hand label; leave it out.")
        joints = np.asarray(joints, np.float32)
        if joints.shape != (21, 3):
            raise HandmeshError(
                f"The label of the HO-3D frame {frame} has the shape {joints.shape} instead of 21 "
                "joints; unpack the annotations again."
            )
        joints = (joints * FROM_OPENGL)[JOINT_ORDER]
        return sample_of_joints(image, joints[None], np.ones(1, bool), intrinsics, source=source)

    def meta(self, index: int) -> dict[str, np.ndarray]:
        """Return the annotation of a frame as the data set stores it (OpenGL camera frame).

        Raises:
            HandmeshError: the file is missing, damaged, or lacks the camera.
        """
        path = self._path(self._frames[index], "meta", ".pkl")
        labels = read_pickle(path, NAME)
        if not isinstance(labels, dict) or labels.get("camMat") is None:
            raise HandmeshError(
                f"The HO-3D annotation {path} lacks camMat; unpack or leave out the frame."
            )
        return labels

    def wrist(self, index: int) -> np.ndarray:
        """Return (3,) the wrist, metres, optical camera frame, which both splits give."""
        joints = self.meta(index).get("handJoints3D")
        if joints is None:
            raise HandmeshError(
                f"The frame {self._frames[index]} of HO-3D has no wrist; unpack it again."
            )
        return np.asarray(joints, np.float64).reshape(-1, 3)[0] * FROM_OPENGL

    def _image(self, frame: str) -> Path:
        path = self._path(frame, "rgb", ".jpg")
        return path if path.is_file() else path.with_suffix(".png")

    def _path(self, frame: str, kind: str, suffix: str) -> Path:
        sequence, separator, number = frame.partition("/")
        if not separator:
            raise HandmeshError(
                f"The HO-3D list {self.split}.txt has the line '{frame}', which is no "
                "SEQUENCE/ID; unpack it again."
            )
        return self.folder / self.split / sequence / kind / f"{number}{suffix}"

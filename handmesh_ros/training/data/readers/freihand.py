"""FreiHAND (Zimmermann et al., ICCV 2019) as samples.

On disk (github.com/lmb-freiburg/freihand): `SPLIT_K.json` (camera matrices) and `SPLIT_xyz.json`
(21 joints in metres, camera frame, our keypoint order) list one entry per unique image;
`SPLIT/rgb/00000000.jpg` … hold the images, 224 × 224. The training split shows every unique image
up to four times (green screen, then three other backgrounds): image i + k · 32560 has label i.
`training/mask/` holds the hands' masks of the unique images. All hands are right ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handmesh_ros.training.data.readers.annotated import camera_of, check_lengths, sample_of_joints
from handmesh_ros.training.data.readers.files import read_image, read_json, read_mask
from handmesh_ros.training.data.sample import Sample

NAME = "FreiHAND"
_INSIDE = 128


class FreiHand:
    """The samples of one split; indexing gives a `Sample`.

    Args:
        folder: holds `training/` or `evaluation/` and the JSON files.
        split: "training" or "evaluation".
        need_labels: False to do without `evaluation_xyz.json`, which older releases lack: samples
            then have no hands.

    Raises:
        HandmeshError: a file is missing, damaged or cut short.
    """

    splits = ("training", "evaluation")

    def __init__(self, folder: Path, split: str = "training", need_labels: bool = True) -> None:
        self.folder, self.split = Path(folder), split
        cameras, joints = (self.folder / f"{split}_{kind}.json" for kind in ("K", "xyz"))
        self._cameras = read_json(cameras, NAME, list)
        self.has_labels = need_labels or joints.is_file()
        self._joints = read_json(joints, NAME, list) if self.has_labels else []
        lengths = {cameras: len(self._cameras)}
        if self.has_labels:
            lengths[joints] = len(self._joints)
        self._unique = check_lengths(lengths)
        self._versions = 1
        if split == "training":
            while self._versions < 4 and self._image(self._versions * self._unique).is_file():
                self._versions += 1

    def __len__(self) -> int:
        return self._versions * self._unique

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        label, path = index % self._unique, self._image(index)
        image = read_image(path, NAME)
        source = f"freihand/{self.split}/{path.name}"
        intrinsics = camera_of(self._cameras[label])
        if not self.has_labels:
            empty = Sample.from_keypoints(image, np.zeros((0, 21, 2)), np.zeros(0), source=source)
            return empty.replace(intrinsics=intrinsics)
        mask = self.folder / self.split / "mask" / f"{label:08d}.jpg"
        return sample_of_joints(
            image,
            np.asarray(self._joints[label], np.float32)[None],
            np.ones(1, bool),
            intrinsics,
            mask=(read_mask(mask, NAME) >= _INSIDE).astype(np.uint8) if mask.is_file() else None,
            source=source,
        )

    def _image(self, index: int) -> Path:
        return self.folder / self.split / "rgb" / f"{index:08d}.jpg"

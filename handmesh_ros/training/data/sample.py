"""`Sample`: one training image with its hands, as it stands in the shards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

ASSUMED_FIELD_OF_VIEW = np.deg2rad(60.0)
"""Horizontal field of view, radians, of photographs whose camera is not known."""

FLESH = 0.1
"""Thickness of the flesh around the keypoints, relative to `palm_size`: 9 of some 95 mm."""

PALM_KEYPOINTS = (0, 1, 5, 9, 13, 17)

VERTEX_COUNT = 778


@dataclass(frozen=True)
class Sample:
    """One image with N hands, arrays as ARCHITECTURE.md lists them under "Training samples".

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8, 0 background, 1..N hands with forearms, 255 occluder; None if unknown.
        intrinsics: (4,) float32 fx, fy, cx, cy of the image, pixels.
        is_right: (N,) uint8.
        keypoints_2d: (N, 21, 2) float32 pixels.
        keypoints_visible: (N, 21) uint8, inside the image and not occluded.
        box: (N, 4) float32 x0, y0, x1, y1 pixels, not clipped to the image.
        visible_fraction: (N,) float32 in [0, 1].
        has_3d: (N,) uint8; where it is 0 the remaining arrays are zeros.
        joints: (N, 21, 3) float32 metres, camera frame.
        rotations: (N, 16, 3, 3) float32, wrist's in the camera frame, others relative.
        shape: (N, 10) float32.
        translation: (N, 3) float32 metres, the wrist in the camera frame.
        colors: (N, 778, 3) uint8 sRGB albedo.
        hand_intrinsics: (N, 4) float32, the camera each hand is seen by: the image's, except in
            mosaics of several images. Not stored in shards.
        mask_value: (N,) uint8, the hands' values in the mask. Not stored in shards.
        source: where the image comes from.
        key: name, unique in its shard.
    """

    image: np.ndarray
    mask: np.ndarray | None
    intrinsics: np.ndarray
    is_right: np.ndarray
    keypoints_2d: np.ndarray
    keypoints_visible: np.ndarray
    box: np.ndarray
    visible_fraction: np.ndarray
    has_3d: np.ndarray
    joints: np.ndarray
    rotations: np.ndarray
    shape: np.ndarray
    translation: np.ndarray
    colors: np.ndarray
    hand_intrinsics: np.ndarray
    mask_value: np.ndarray
    source: str = ""
    key: str = ""

    def __len__(self) -> int:
        return len(self.is_right)

    @classmethod
    def from_keypoints(
        cls,
        image: np.ndarray,
        keypoints: np.ndarray,
        is_right: np.ndarray,
        *,
        keypoints_visible: np.ndarray | None = None,
        visible_fraction: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        source: str = "",
    ) -> Sample:
        """Return a sample that has 2D labels only, with the assumed camera.

        Args:
            image: (H, W, 3) uint8 RGB.
            keypoints: (N, 21, 2) pixels.
            is_right: (N,) bool.
            keypoints_visible: (N, 21); None for all that lie inside the image.
            visible_fraction: (N,); None for the fraction of keypoints inside the image.
            mask: (H, W) uint8 or None.
            source: where the image comes from.
        """
        height, width = image.shape[:2]
        count = len(is_right)
        keypoints = np.asarray(keypoints, np.float32).reshape(count, 21, 2)
        inside = points_inside(keypoints, (0, 0, width, height))
        if keypoints_visible is None:
            keypoints_visible = inside
        if visible_fraction is None:
            visible_fraction = inside.mean(axis=1)
        intrinsics = assumed_intrinsics(width, height)
        return cls(
            image=image,
            mask=mask,
            intrinsics=intrinsics,
            hand_intrinsics=shared_intrinsics(intrinsics, count),
            mask_value=mask_values(count),
            is_right=np.asarray(is_right, np.uint8).reshape(count),
            keypoints_2d=keypoints,
            keypoints_visible=np.asarray(keypoints_visible).astype(np.uint8),
            box=box_of_keypoints(keypoints),
            visible_fraction=np.asarray(visible_fraction, np.float32),
            has_3d=np.zeros(count, np.uint8),
            joints=np.zeros((count, 21, 3), np.float32),
            rotations=np.zeros((count, 16, 3, 3), np.float32),
            shape=np.zeros((count, 10), np.float32),
            translation=np.zeros((count, 3), np.float32),
            colors=np.zeros((count, VERTEX_COUNT, 3), np.uint8),
            source=source,
        )

    def select(self, chosen: np.ndarray) -> Sample:
        """Return the sample with some of its hands; the image and the mask stay as they are.

        Args:
            chosen: (N,) bool or (K,) indices.
        """
        return replace(self, **{name: getattr(self, name)[chosen] for name in PER_HAND_FIELDS})

    def replace(self, **changes: Any) -> Sample:
        """Return a copy with some fields replaced."""
        return replace(self, **changes)


LABEL_FIELDS = (
    "is_right",
    "keypoints_2d",
    "keypoints_visible",
    "box",
    "visible_fraction",
    "has_3d",
    "joints",
    "rotations",
    "shape",
    "translation",
    "colors",
)
"""Fields with one row for each hand that are stored in shards."""

PER_HAND_FIELDS = (*LABEL_FIELDS, "hand_intrinsics", "mask_value")
"""All fields with one row for each hand."""


def assumed_intrinsics(width: int, height: int) -> np.ndarray:
    """Return (4,) float32 fx, fy, cx, cy for a camera of which only the image size is known."""
    focal = 0.5 * max(width, height) / np.tan(0.5 * ASSUMED_FIELD_OF_VIEW)
    return np.array([focal, focal, (width - 1) / 2, (height - 1) / 2], np.float32)


def shared_intrinsics(intrinsics: np.ndarray, count: int) -> np.ndarray:
    """Return (count, 4) float32: the image's (4,) camera for each of its hands."""
    return np.tile(np.asarray(intrinsics, np.float32), (count, 1))


def mask_values(count: int) -> np.ndarray:
    """Return (count,) uint8 1, 2, …: the values that an image's hands have in its mask."""
    return np.arange(1, count + 1, dtype=np.uint8)


def box_of_keypoints(keypoints: np.ndarray) -> np.ndarray:
    """Return (N, 4) float32 boxes of (N, 21, 2) keypoints with `FLESH` around them."""
    margin = FLESH * palm_size(keypoints)[:, None]
    low, high = keypoints.min(axis=1) - margin, keypoints.max(axis=1) + margin
    return np.concatenate([low, high], axis=-1).astype(np.float32)


def palm_size(keypoints: np.ndarray) -> np.ndarray:
    """Return (...) the largest distance within the palm of (..., 21, 2) keypoints, pixels.

    It stays large when fingers bend or the hand turns.
    """
    palm = keypoints[..., PALM_KEYPOINTS, :]
    difference = palm[..., :, None, :] - palm[..., None, :, :]
    return np.linalg.norm(difference, axis=-1).max(axis=(-2, -1))


def points_inside(points: np.ndarray, frame: tuple[int, int, int, int]) -> np.ndarray:
    """Return (...) bool: which points (..., 2) lie on the pixels of frame x0, y0, x1, y1.

    The centre of the top-left pixel is (0, 0), so the frame reaches from x0 - 0.5 to x1 - 0.5.
    """
    low, high = np.array(frame[:2]) - 0.5, np.array(frame[2:]) - 0.5
    return np.asarray(((points >= low) & (points < high)).all(axis=-1))

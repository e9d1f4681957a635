"""Geometric augmentation that keeps the 3D truth exact.

Every view is a flip M = diag(-1, 1, 1), then a roll R about the optical axis, then a change of
the camera matrix from K to K' (zoom and shift). Each maps a camera onto a camera, so the image
moves by the affine A = K' R M K⁻¹ and the hands by the linear map R M, with no approximation. The
side of a hand changes with the flip; its rotations become R M R₀ M at the wrist and M Rᵢ M
elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from handmesh_ros.hand.conventions import MIRROR
from handmesh_ros.training.data.sample import Sample, points_inside

Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True)
class View:
    """A camera onto a sample's image.

    Attributes:
        width: of the output, pixels.
        height: of the output, pixels.
        intrinsics: (4,) float64 fx, fy, cx, cy of the output.
        roll: rotation of the image about the principal point, radians, clockwise as seen.
        flip: mirror left and right (before the roll).
        frame: x0, y0, x1, y1: the part of the output that is filled, the rest being padding.
    """

    width: int
    height: int
    intrinsics: np.ndarray
    roll: float = 0.0
    flip: bool = False
    frame: Rectangle | None = None

    @property
    def filled(self) -> Rectangle:
        """The frame, or the whole output where none is set."""
        return self.frame or (0, 0, self.width, self.height)

    @property
    def motion(self) -> np.ndarray:
        """(3, 3) linear map R M of camera coordinates, determinant -1 with a flip."""
        sine, cosine = np.sin(self.roll), np.cos(self.roll)
        rotation = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        return rotation @ MIRROR if self.flip else rotation

    def affine(self, intrinsics: np.ndarray) -> np.ndarray:
        """Return (2, 3) A = K' R M K⁻¹ from pixels of a camera to pixels of this view."""
        matrix = camera_matrix(self.intrinsics) @ self.motion
        return (matrix @ np.linalg.inv(camera_matrix(intrinsics)))[:2]


def camera_matrix(intrinsics: np.ndarray) -> np.ndarray:
    """Return the (3, 3) float64 camera matrix of (4,) fx, fy, cx, cy."""
    fx, fy, cx, cy = np.asarray(intrinsics, np.float64)
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def letterbox_view(sample: Sample, width: int, height: int) -> View:
    """Return the view that shows the whole image, centred, with equal scale in x and y."""
    source_height, source_width = sample.image.shape[:2]
    scale = min(width / source_width, height / source_height)
    shown_width, shown_height = round(source_width * scale), round(source_height * scale)
    left, top = (width - shown_width) // 2, (height - shown_height) // 2
    fx, fy, cx, cy = np.asarray(sample.intrinsics, np.float64)
    shift = 0.5 * scale - 0.5
    return View(
        width=width,
        height=height,
        intrinsics=np.array(
            [fx * scale, fy * scale, cx * scale + shift + left, cy * scale + shift + top]
        ),
        frame=(left, top, left + shown_width, top + shown_height),
    )


def turned(sample: Sample, quarters: int) -> Sample:
    """Return the whole sample turned clockwise, without resampling a pixel.

    Args:
        sample: to turn.
        quarters: of a full turn.
    """
    height, width = sample.image.shape[:2]
    fx, fy, cx, cy = np.asarray(sample.intrinsics, np.float64)
    left, top = width - 1 - cx, height - 1 - cy
    intrinsics = ((fx, fy, cx, cy), (fy, fx, top, cx), (fx, fy, left, top), (fy, fx, cy, left))
    view = View(
        width=height if quarters % 2 else width,
        height=width if quarters % 2 else height,
        intrinsics=np.array(intrinsics[quarters % 4]),
        roll=quarters * np.pi / 2,
    )
    return warp_labels(sample, view).replace(
        image=np.ascontiguousarray(np.rot90(sample.image, -quarters)),
        mask=None if sample.mask is None else np.rot90(sample.mask, -quarters).copy(),
    )


def warp_labels(sample: Sample, view: View) -> Sample:
    """Return the sample's hands as the view sees them; image and mask are left alone.

    Hands whose box lies wholly outside the filled frame are dropped. Boxes move with the image;
    under a roll they are rebuilt around the keypoints with the margins they had on average.
    """
    affine = view.affine(sample.intrinsics)
    motion = view.motion
    height, width = sample.image.shape[:2]
    keypoints = transform_points(affine, sample.keypoints_2d)
    in_source = points_inside(sample.keypoints_2d, (0, 0, width, height))
    in_frame = points_inside(keypoints, view.filled)
    kept = (in_source & in_frame).sum(axis=1) / np.maximum(in_source.sum(axis=1), 1)
    rotations = np.asarray(sample.rotations, np.float64)
    if view.flip:
        rotations = MIRROR @ rotations @ MIRROR
        rotation = motion @ MIRROR
    else:
        rotation = motion
    rotations = np.concatenate([rotation @ rotations[:, :1], rotations[:, 1:]], axis=1)
    box = _warp_boxes(sample, keypoints, affine)
    labels = sample.replace(
        intrinsics=np.asarray(view.intrinsics, np.float32),
        is_right=np.asarray(sample.is_right ^ 1 if view.flip else sample.is_right, np.uint8),
        keypoints_2d=keypoints.astype(np.float32),
        keypoints_visible=(sample.keypoints_visible.astype(bool) & in_frame).astype(np.uint8),
        box=box,
        visible_fraction=(sample.visible_fraction * kept).astype(np.float32),
        joints=(sample.joints @ motion.T).astype(np.float32),
        rotations=rotations.astype(np.float32),
        translation=(sample.translation @ motion.T).astype(np.float32),
        hand_intrinsics=_warp_hand_intrinsics(sample, view, affine),
    )
    x0, y0, x1, y1 = view.filled
    seen = (box[:, 0] < x1) & (box[:, 2] > x0) & (box[:, 1] < y1) & (box[:, 3] > y0)
    return labels if seen.all() else labels.select(seen)


def warp_image(
    image: np.ndarray,
    affine: np.ndarray,
    view: View,
    canvas: np.ndarray | None = None,
    padding: tuple[int, int, int] = (0, 0, 0),
) -> np.ndarray:
    """Return the image as the view sees it.

    Args:
        image: (H, W, 3) uint8.
        affine: (2, 3) from `View.affine`.
        view: where to.
        canvas: (height, width, 3) uint8 that shows where the image does not reach; it is drawn
            over. None for `padding` there.
        padding: colour outside the view's frame.
    """
    scale = np.sqrt(abs(np.linalg.det(affine[:, :2])))
    while scale <= 0.5:
        image, affine = halve(image, affine)
        scale *= 2
    warped = cv2.warpAffine(
        image,
        affine,
        (view.width, view.height),
        dst=canvas,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT if canvas is None else cv2.BORDER_TRANSPARENT,
        borderValue=padding,
    )
    return _pad_outside(warped, view, padding)


def warp_mask(mask: np.ndarray, affine: np.ndarray, view: View) -> np.ndarray:
    """Return a (H, W) uint8 mask as the view sees it, 0 where it does not reach."""
    warped = cv2.warpAffine(
        mask, affine, (view.width, view.height), flags=cv2.INTER_NEAREST, borderValue=0
    )
    return _pad_outside(warped, view, 0)


def transform_points(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return (..., 2) points moved by a (2, 3) affine map."""
    return points @ affine[:, :2].T + affine[:, 2]


def for_resized(affine: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return the affine map for a source image that was made smaller.

    Args:
        affine: (2, 3) map from the original image's pixels.
        factors: (2,) original over new width and height.
    """
    fx, fy = factors
    return affine @ np.array([[fx, 0, 0.5 * fx - 0.5], [0, fy, 0.5 * fy - 0.5], [0, 0, 1.0]])


def halve(image: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of half the size and the affine map (2, 3) that goes with it."""
    size = np.maximum(np.array(image.shape[1::-1]) // 2, 1)
    half = cv2.resize(image, size.tolist(), interpolation=cv2.INTER_AREA)
    return half, for_resized(affine, np.array(image.shape[1::-1]) / size)


def _pad_outside(image: np.ndarray, view: View, padding: int | tuple[int, int, int]) -> np.ndarray:
    x0, y0, x1, y1 = view.filled
    image[:y0], image[y1:], image[:, :x0], image[:, x1:] = padding, padding, padding, padding
    return image


def _warp_boxes(sample: Sample, keypoints: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return (N, 4) float32 boxes: exact under quarter turns, else around the keypoints."""
    box = np.asarray(sample.box, np.float64)
    if np.abs(affine[:, :2]).min(axis=1).max() < 1e-9:
        corners = transform_points(affine, box.reshape(-1, 2, 2))
        return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=-1).astype(
            np.float32
        )
    low, high = sample.keypoints_2d.min(axis=1), sample.keypoints_2d.max(axis=1)
    margin = np.concatenate([low - box[:, :2], box[:, 2:] - high], axis=1).mean(axis=1)
    margin = margin[:, None] * np.sqrt(abs(np.linalg.det(affine[:, :2])))
    low, high = keypoints.min(axis=1) - margin, keypoints.max(axis=1) + margin
    return np.concatenate([low, high], axis=-1).astype(np.float32)


def _warp_hand_intrinsics(sample: Sample, view: View, affine: np.ndarray) -> np.ndarray:
    before = np.asarray(sample.hand_intrinsics, np.float64)
    zoom = view.intrinsics[:2] / np.asarray(sample.intrinsics[:2], np.float64)
    centre = transform_points(affine, before[:, 2:])
    return np.concatenate([before[:, :2] * zoom, centre], axis=1).astype(np.float32)

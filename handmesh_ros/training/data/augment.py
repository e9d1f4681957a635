"""Random views and looks of a sample: what the network sees during training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np

from handmesh_ros.training.data import photometry
from handmesh_ros.training.data.composition.backgrounds import Backgrounds
from handmesh_ros.training.data.geometry import (
    Rectangle,
    View,
    letterbox_view,
    transform_points,
    warp_image,
    warp_labels,
    warp_mask,
)
from handmesh_ros.training.data.sample import Sample
from handmesh_ros.training.ranges import Probability, Range, Weight

_MIN_AIMED_SIZE = 18.0
_ASPECTS = (4 / 3, 16 / 9, 3 / 4, 9 / 16)


@dataclass(frozen=True)
class AugmentOptions:
    """How strongly to augment; probabilities are per image.

    Attributes:
        flip: probability of mirroring.
        upright: standard deviation of the roll, radians, of most views.
        any_roll: probability of a roll anywhere in the full circle.
        zoom: range of the zoom relative to the whole image, for views not aimed at a hand.
        aim: probability of a view aimed at one hand.
        hand_size: range of that hand's longer side, relative to the view's.
        padded: probability of a view in a camera's aspect ratio, padded to the network's.
        new_background: probability of another background where the mask tells it.
        scene: probability of a background, not padding, beyond the image's border.
        strength: of all changes of colour, 1 as designed, 0 none.
        erase: probability of covering parts with boxes.
    """

    flip: Probability = 0.5
    upright: Weight = 0.35
    any_roll: Probability = 0.2
    zoom: Annotated[tuple[float, float], Range(0.01, 100)] = (0.85, 1.6)
    aim: Probability = 0.7
    hand_size: Annotated[tuple[float, float], Range(0.01, 10)] = (0.15, 0.95)
    padded: Probability = 0.3
    new_background: Probability = 0.3
    scene: Probability = 0.6
    strength: Weight = 1.0
    erase: Probability = 0.25


class Augmenter:
    """Draws random views of samples and augments images photometrically.

    Args:
        options: how strongly.
        backgrounds: what to put behind; None for procedural ones.
        spectra: (S, 32, 32, 3) amplitudes of real photographs to mix in, see `photometry`.
    """

    def __init__(
        self,
        options: AugmentOptions | None = None,
        backgrounds: Backgrounds | None = None,
        spectra: np.ndarray | None = None,
    ) -> None:
        self.options = options or AugmentOptions()
        self.backgrounds = backgrounds or Backgrounds()
        self.spectra = spectra

    def augment(self, sample: Sample, rng: np.random.Generator, width: int, height: int) -> Sample:
        """Return a random view, photometrically augmented, width × height pixels."""
        return self.augment_photometry(self.view(sample, rng, width, height), rng)

    def view(self, sample: Sample, rng: np.random.Generator, width: int, height: int) -> Sample:
        """Return a random view of the sample; see `geometry` for what happens to the hands."""
        options = self.options
        view = random_view(sample, rng, width, height, options)
        affine = view.affine(sample.intrinsics)
        new_background = sample.mask is not None and rng.random() < options.new_background
        canvas: np.ndarray | None
        if new_background:
            canvas = self.backgrounds.draw(rng, width, height)
            padding = (0, 0, 0)
        else:
            in_scene = rng.random() < options.scene and not _covers(affine, sample, view)
            canvas = self.backgrounds.draw(rng, width, height) if in_scene else None
            grey = int(rng.choice((0, 0, 0, 114, 127, 255)))
            padding = (grey, grey, grey)
        labels = warp_labels(sample, view)
        mask = None if sample.mask is None else warp_mask(sample.mask, affine, view)
        if new_background:
            assert mask is not None and canvas is not None
            image = _put_before(
                warp_image(sample.image, affine, view), mask, canvas, rng.uniform(0.3, 1.0)
            )
            x0, y0, x1, y1 = view.filled
            outside = np.ones(mask.shape, bool)
            outside[y0:y1, x0:x1] = False
            image[outside] = 0
        else:
            image = warp_image(sample.image, affine, view, canvas, padding)
        return labels.replace(image=image, mask=mask)

    def augment_photometry(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the sample with other light, colours, sharpness and grain, and parts covered."""
        if rng.random() < self.options.erase:
            sample = erase_boxes(sample, rng)
        image, colors = self.change_photometry(sample.image, sample.colors, rng)
        return sample.replace(image=image, colors=colors)

    def change_photometry(
        self, image: np.ndarray, colors: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Send an image through a random chain of `photometry`.

        Args:
            image: (H, W, 3) uint8.
            colors: (N, V, 3) uint8 colours of the hands, which follow every change of colour that
                is the same all over the image: nothing in it tells them from the skin's own.
            rng: random numbers.

        Returns:
            the changed image and colours.
        """
        strength = self.options.strength
        if strength <= 0:
            return image, colors
        before = image
        chance = rng.random(9) / min(strength, 1.0)
        if self.spectra is not None and chance[0] < 0.25:
            other = self.spectra[rng.integers(len(self.spectra))]
            image = photometry.mix_spectrum(image, other, rng)
        if chance[1] < 0.3:
            image = photometry.light_unevenly(image, rng)
        sheet = _append_colors(image, colors)
        if chance[2] < 0.85:
            sheet = photometry.change_tones(sheet, rng, strength)
        if chance[3] < 0.6:
            sheet = photometry.change_colours(sheet, rng, strength)
        if chance[7] < 0.08:
            sheet = photometry.to_grey(sheet)
        height = len(image)
        image, changed = sheet[:height], sheet[height:].reshape(-1, 3)[: colors.size // 3]
        if chance[4] < 0.2:
            image = photometry.blur(image, rng)
        if chance[5] < 0.15:
            image = photometry.lose_resolution(image, rng)
        if chance[6] < 0.3:
            image = photometry.add_noise(image, rng)
        if chance[8] < 0.25:
            image = photometry.compress(image, rng)
        if _contrast(image) <= 0.35 * min(_contrast(before), 40.0):
            return before, colors
        return image, changed.reshape(colors.shape)


def _append_colors(image: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Return the image with rows below it that hold (N, V, 3) colours."""
    width, count = image.shape[1], colors.size // 3
    rows = np.zeros((-(-count // width), width, 3), np.uint8)
    rows.reshape(-1, 3)[:count] = colors.reshape(-1, 3)
    return np.concatenate([image, rows])


def letterbox(sample: Sample, width: int, height: int) -> Sample:
    """Return the whole sample, scaled equally and padded with black: what validation sees."""
    view = letterbox_view(sample, width, height)
    affine = view.affine(sample.intrinsics)
    return warp_labels(sample, view).replace(
        image=warp_image(sample.image, affine, view),
        mask=None if sample.mask is None else warp_mask(sample.mask, affine, view),
    )


def random_view(
    sample: Sample, rng: np.random.Generator, width: int, height: int, options: AugmentOptions
) -> View:
    """Return a random camera: flip, roll, zoom and shift within a random frame."""
    frame = _random_frame(rng, width, height, options.padded)
    frame_width, frame_height = frame[2] - frame[0], frame[3] - frame[1]
    source_height, source_width = sample.image.shape[:2]
    if rng.random() < options.any_roll:
        roll = rng.uniform(-np.pi, np.pi)
    else:
        roll = rng.normal(0, options.upright)
    flip = bool(rng.random() < options.flip)
    whole = min(frame_width / source_width, frame_height / source_height)
    centre = np.array([(source_width - 1) / 2, (source_height - 1) / 2])
    if len(sample) and rng.random() < options.aim:
        hand = rng.integers(len(sample))
        box = sample.box[hand].astype(np.float64)
        extent = max(box[2] - box[0], box[3] - box[1], 1.0)
        low, high = np.array(options.hand_size) * min(frame_width, frame_height)
        low = min(max(low, _MIN_AIMED_SIZE), high)
        size = np.exp(rng.uniform(np.log(low), np.log(high)))
        scale = np.clip(size / extent, 0.6 * whole, max(2.5 * whole, 1.5))
        centre = (box[:2] + box[2:]) / 2
        room = 0.5 * np.array([frame_width, frame_height]) - 0.35 * scale * extent
        target_offset = rng.uniform(-1, 1, 2) * np.maximum(room, 0)
    else:
        scale = whole * np.exp(rng.uniform(*np.log(options.zoom)))
        target_offset = rng.normal(0, 0.12, 2) * [frame_width, frame_height]
    target = np.array([(frame[0] + frame[2] - 1) / 2, (frame[1] + frame[3] - 1) / 2])
    fx, fy, cx, cy = np.asarray(sample.intrinsics, np.float64)
    view = View(width, height, np.array([fx * scale, fy * scale, 0.0, 0.0]), roll, flip, frame)
    moved = transform_points(view.affine(sample.intrinsics), centre)
    principal = target + target_offset - moved
    return View(width, height, np.array([fx * scale, fy * scale, *principal]), roll, flip, frame)


def erase_boxes(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return the sample with one to three boxes covered; keypoints below them become invisible."""
    image = sample.image.copy()
    height, width = image.shape[:2]
    visible = sample.keypoints_visible.astype(bool)
    covered = np.zeros_like(visible)
    for _ in range(rng.integers(1, 4)):
        size = (rng.uniform(0.04, 0.25, 2) * [width, height]).astype(int) + 1
        x, y = rng.integers(width - size[0]), rng.integers(height - size[1])
        if rng.random() < 0.5:
            from_x, from_y = rng.integers(width - size[0]), rng.integers(height - size[1])
            patch = image[from_y : from_y + size[1], from_x : from_x + size[0]].copy()
        else:
            patch = rng.integers(0, 256, 3, np.uint8)
        image[y : y + size[1], x : x + size[0]] = patch
        corner = np.array([x, y]) - 0.5
        covered |= ((sample.keypoints_2d >= corner) & (sample.keypoints_2d < corner + size)).all(
            axis=-1
        )
    lost = (visible & covered).sum(axis=1) / np.maximum(visible.sum(axis=1), 1)
    return sample.replace(
        image=image,
        keypoints_visible=(visible & ~covered).astype(np.uint8),
        visible_fraction=(sample.visible_fraction * (1 - lost)).astype(np.float32),
    )


def _contrast(image: np.ndarray) -> float:
    thinned = np.ascontiguousarray(image[::4, ::4]).reshape(-1, 1)
    return float(cv2.meanStdDev(thinned)[1][0, 0])


def _random_frame(
    rng: np.random.Generator, width: int, height: int, probability: float
) -> Rectangle:
    if rng.random() >= probability:
        return 0, 0, width, height
    aspect = _ASPECTS[rng.integers(len(_ASPECTS))]
    frame_width = min(width, round(height * aspect))
    frame_height = min(height, round(width / aspect))
    left, top = (width - frame_width) // 2, (height - frame_height) // 2
    return left, top, left + frame_width, top + frame_height


def _covers(affine: np.ndarray, sample: Sample, view: View) -> bool:
    """Return whether the image reaches every corner of the view's frame."""
    x0, y0, x1, y1 = view.filled
    corners = np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]], np.float64)
    inverse = cv2.invertAffineTransform(affine)
    back = transform_points(inverse, corners)
    height, width = sample.image.shape[:2]
    return bool(((back >= -1) & (back <= [width, height])).all())


def _put_before(
    image: np.ndarray, mask: np.ndarray, background: np.ndarray, softness: float
) -> np.ndarray:
    """Return the masked parts of an image in front of a background, with soft edges."""
    blurred = cv2.GaussianBlur((mask != 0).astype(np.float32), (0, 0), softness)
    alpha = (2 * blurred - 0.9).clip(0, 1)
    return cv2.blendLinear(image, background, alpha, 1 - alpha)

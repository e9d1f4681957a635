"""Composites: real hands, cut out or in their photographs, on other backgrounds.

The scheme of the paper (arXiv 2204.08154) with the gaps closed that it left: hands come in all
sizes and at all angles, with forearms or sleeves, lit like their surroundings, behind objects.
Labels are 2D only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from handmesh_ros.hand.conventions import MIDDLE_MCP, WRIST
from handmesh_ros.training.data.composition.backgrounds import Backgrounds, random_crop
from handmesh_ros.training.data.composition.cutouts import Cutout, hand_region
from handmesh_ros.training.data.composition.options import CompositeOptions
from handmesh_ros.training.data.geometry import halve, transform_points
from handmesh_ros.training.data.sample import Sample, palm_size, points_inside

OCCLUDER = 255
_MAX_ENLARGEMENT = 2.0
_PLACEMENTS = 8


class Layer(NamedTuple):
    """A cut-out brought to its place: image (H, W, 3), alpha (H, W) float32, labels."""

    image: np.ndarray
    alpha: np.ndarray
    hand: np.ndarray
    keypoints: np.ndarray
    is_right: bool


@dataclass
class _Canvas:
    """A composite in the making; `ids` says which hand, 1..N, owns each pixel.

    `masked` is false where `ids` does not follow the outlines of hands.
    """

    image: np.ndarray
    ids: np.ndarray
    keypoints: list[np.ndarray] = field(default_factory=list)
    visible: list[np.ndarray] = field(default_factory=list)
    is_right: list[bool] = field(default_factory=list)
    hands: list[np.ndarray] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    masked: bool = True

    def fraction(self, hand: int, covered: np.ndarray | None = None) -> float:
        """Return the visible fraction of a hand, were `covered` (H, W) bool put above it."""
        shown = (self.ids == hand + 1) & self.hands[hand]
        if covered is not None:
            shown &= ~covered
        return float(min(shown.sum() / max(self.areas[hand], 1.0), 1.0))

    def cover(self, alpha: np.ndarray, owner: int) -> None:
        """Give the pixels of a layer to an owner and hide the keypoints below."""
        above = alpha > 0.5
        self.ids[above] = owner
        for points, visible in zip(self.keypoints, self.visible, strict=True):
            visible &= ~_lookup(above, points)


def compose_sample(
    cutouts: Sequence[Cutout],
    backgrounds: Backgrounds,
    rng: np.random.Generator,
    options: CompositeOptions | None = None,
    photographs: Sequence[Sample] = (),
) -> Sample:
    """Return one composite.

    Args:
        cutouts: hands to paste.
        backgrounds: what to paste on.
        rng: random numbers.
        options: what it looks like; None for `CompositeOptions()`.
        photographs: whole photographs that some composites are built on.
    """
    options = options or CompositeOptions()
    size = options.size
    canvas = _Canvas(image=backgrounds.draw(rng, size, size), ids=np.zeros((size, size), np.uint8))
    count = int(rng.integers(options.hands[0], options.hands[1] + 1))
    if len(photographs) and rng.random() < options.photograph:
        _paste_photograph(canvas, photographs[int(rng.integers(len(photographs)))], rng, options)
        count = max(1, count // 2)
    if rng.random() < options.occluder / 3:
        _paste_object(canvas, backgrounds, rng, options)
    shrink = 1.0 if count < 3 else 0.75
    for _ in range(count):
        cutout = cutouts[int(rng.integers(len(cutouts)))]
        for _ in range(_PLACEMENTS):
            layer = place(cutout, rng, options, shrink)
            if _fits(canvas, layer, options):
                _paste_hand(canvas, layer, rng, options)
                break
    if rng.random() < options.occluder:
        _paste_object(canvas, backgrounds, rng, options)
    return _to_sample(canvas)


def place(
    cutout: Cutout, rng: np.random.Generator, options: CompositeOptions, shrink: float = 1.0
) -> Layer:
    """Return the cut-out mirrored, scaled, turned and shifted at random.

    Args:
        cutout: what to place.
        rng: random numbers.
        options: size of the canvas, range of sizes, probabilities.
        shrink: factor on the largest size.
    """
    size = options.size
    low, high = cutout.keypoints.min(axis=0), cutout.keypoints.max(axis=0)
    extent = float((high - low).max())
    smallest, largest = options.extent[0], options.extent[1] * shrink
    wanted = np.exp(rng.uniform(np.log(smallest), np.log(largest))) * size
    scale = min(wanted / extent, _MAX_ENLARGEMENT)
    angle = rng.normal(0, 0.4) if rng.random() < 0.65 else rng.uniform(-np.pi, np.pi)
    mirror = bool(rng.random() < options.mirrored)
    linear = (
        scale
        * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        @ np.diag([-1.0 if mirror else 1.0, 1.0])
    )
    room = max(0.5 * size - 0.3 * scale * extent, 0.0)
    target = 0.5 * size + rng.uniform(-1, 1, 2) * room
    affine = np.column_stack([linear, target - linear @ ((low + high) / 2)])
    image, alpha, to_canvas = cutout.image, cutout.alpha.astype(np.float32) / 255, affine
    alpha_source, sleeve = alpha, None
    if cutout.cut_at_border:
        if rng.random() < options.sleeve:
            sleeve = _sleeve(cutout, affine, rng, size)
        else:
            alpha_source = _fade_at_border(alpha, cutout)
    hand_source = (hand_region(cutout.keypoints, alpha.shape) * (alpha > 0.5)).astype(np.uint8)
    shrunk = scale
    while shrunk <= 0.5:
        alpha_source, _ = halve(alpha_source, to_canvas)
        image, to_canvas = halve(image, to_canvas)
        shrunk *= 2
    warped = cv2.warpAffine(image, to_canvas, (size, size), borderMode=cv2.BORDER_REPLICATE)
    coverage = cv2.warpAffine(alpha_source, to_canvas, (size, size))
    hand = cv2.warpAffine(hand_source, affine, (size, size), flags=cv2.INTER_NEAREST)
    warped = _relight(warped, coverage, rng)
    if sleeve is not None:
        colour, cloth = sleeve
        weight = cloth[..., None] * (1 - coverage[..., None])
        warped = (warped * (1 - weight) + colour * weight).astype(np.uint8)
        coverage = np.maximum(coverage, cloth)
    return Layer(
        image=warped,
        alpha=coverage,
        hand=hand.astype(bool),
        keypoints=transform_points(affine, cutout.keypoints).astype(np.float32),
        is_right=cutout.is_right != mirror,
    )


def _paste_hand(
    canvas: _Canvas, layer: Layer, rng: np.random.Generator, options: CompositeOptions
) -> None:
    size = options.size
    inside = points_inside(layer.keypoints, (0, 0, size, size))
    area = layer.hand.sum() / max(inside.mean(), 0.2)
    if rng.random() < options.shadow:
        reach = rng.uniform(0.01, 0.05) * size
        offset = rng.normal(0, reach, 2)
        shadow = cv2.warpAffine(
            cv2.GaussianBlur(layer.alpha, (0, 0), reach),
            np.array([[1, 0, offset[0]], [0, 1, offset[1]]], np.float64),
            (size, size),
        )
        darker = 1 - rng.uniform(0.15, 0.6) * shadow[..., None]
        canvas.image = (canvas.image * darker).astype(np.uint8)
    image = _match_light(layer, canvas.image, rng)
    canvas.image = cv2.blendLinear(image, canvas.image, layer.alpha, 1 - layer.alpha)
    canvas.cover(layer.alpha, len(canvas.keypoints) + 1)
    canvas.keypoints.append(layer.keypoints)
    canvas.visible.append(inside)
    canvas.is_right.append(layer.is_right)
    canvas.hands.append(layer.hand)
    canvas.areas.append(float(area))


def _fits(canvas: _Canvas, layer: Layer, options: CompositeOptions) -> bool:
    """Return whether a hand has its place: mostly inside, and leaves the others visible."""
    if points_inside(layer.keypoints, (0, 0, options.size, options.size)).mean() < 0.5:
        return False
    covered = layer.alpha > 0.5
    return all(
        canvas.fraction(hand, covered) >= min(options.least_visible, canvas.fraction(hand))
        for hand in range(len(canvas.hands))
    )


def _paste_photograph(
    canvas: _Canvas, photograph: Sample, rng: np.random.Generator, options: CompositeOptions
) -> None:
    """Draw a photograph with its labelled hands, as the ground or as a soft-edged part of it."""
    size = options.size
    height, width = photograph.image.shape[:2]
    canvas.masked = False
    scale = size / max(height, width) * rng.uniform(0.45, 1.25)
    mirror = bool(rng.random() < 0.5)
    linear = np.diag([-scale if mirror else scale, scale])
    shown = np.array([width, height]) * scale
    room = np.abs(size - shown) / 2
    target = 0.5 * size + rng.uniform(-1, 1, 2) * room
    affine = np.column_stack([linear, target - linear @ [(width - 1) / 2, (height - 1) / 2]])
    soft = rng.uniform(0.0, 0.06) * max(height, width)
    solid = np.zeros((height, width), np.float32)
    edge = int(np.ceil(soft))
    solid[edge : height - edge, edge : width - edge] = 1
    alpha = cv2.GaussianBlur(solid, (0, 0), max(soft / 2, 0.3))
    coverage = cv2.warpAffine(alpha, affine, (size, size))
    image = cv2.warpAffine(photograph.image, affine, (size, size))
    canvas.image = cv2.blendLinear(image, canvas.image, coverage, 1 - coverage)
    for hand in range(len(photograph)):
        keypoints = transform_points(affine, photograph.keypoints_2d[hand]).astype(np.float32)
        region = hand_region(keypoints, (size, size)).astype(bool)
        inside = points_inside(keypoints, (0, 0, size, size))
        canvas.ids[region] = hand + 1
        canvas.keypoints.append(keypoints)
        canvas.visible.append(inside & photograph.keypoints_visible[hand].astype(bool))
        canvas.is_right.append(bool(photograph.is_right[hand]) != mirror)
        canvas.hands.append(region)
        canvas.areas.append(region.sum() / max(inside.mean(), 0.1))


def _paste_object(
    canvas: _Canvas, backgrounds: Backgrounds, rng: np.random.Generator, options: CompositeOptions
) -> None:
    """Draw a blob or a box filled with a piece of another picture, sparing most of each hand."""
    size = options.size
    outline = np.zeros((size, size), np.float32)
    centre = rng.uniform(0.05, 0.95, 2) * size
    if canvas.keypoints and rng.random() < 0.7:
        points = canvas.keypoints[rng.integers(len(canvas.keypoints))]
        centre = points[rng.integers(21)].astype(np.float64)
    axes = np.exp(rng.uniform(np.log(0.03), np.log(0.25), 2)) * size
    angle = float(rng.uniform(0, 360))
    if rng.random() < 0.5:
        corners = cv2.boxPoints((centre.tolist(), (2 * axes).tolist(), angle))
        cv2.fillConvexPoly(outline, np.round(corners).astype(np.int32), 1.0, cv2.LINE_AA)
    else:
        cv2.ellipse(
            outline, np.round(centre).astype(int).tolist(), axes.astype(int).tolist(),
            angle, 0, 360, 1.0, -1, cv2.LINE_AA,
        )  # fmt: skip
    shape = cv2.GaussianBlur(outline, (0, 0), 0.7)
    covered = shape > 0.5
    for hand in range(len(canvas.hands)):
        if canvas.fraction(hand, covered) < min(
            options.least_visible, 0.99 * canvas.fraction(hand)
        ):
            return
    picture = random_crop(backgrounds.draw(rng, size, size), rng, size, size)
    canvas.image = cv2.blendLinear(picture, canvas.image, shape, 1 - shape)
    canvas.cover(shape, OCCLUDER)


def _relight(image: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change the hand's own tone: darker or lighter skin, another white balance."""
    gamma = np.exp(rng.normal(0.1, 0.3))
    gain = np.exp(rng.normal(-0.05, 0.2) + rng.normal(0, 0.07, 3))
    if rng.random() < 0.2:
        gain = gain * rng.uniform(0.3, 0.7) * np.array([1.05, 0.97, 0.92])
    levels = np.arange(256)[:, None] / 255
    table = (255 * levels**gamma * gain).clip(0, 255).astype(np.uint8)
    return cv2.LUT(image, table[None])


def _match_light(layer: Layer, background: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bring the hand's mean colour towards that of the ground around it, by a random part."""
    near = cv2.dilate((layer.alpha[::4, ::4] > 0.5).astype(np.uint8), np.ones((9, 9), np.uint8))
    ground = background[::4, ::4][near > 0]
    own = layer.image[::4, ::4][layer.alpha[::4, ::4] > 0.5]
    if not len(ground) or not len(own):
        return layer.image
    ratio = (ground.mean(axis=0) + 10) / (own.mean(axis=0) + 10)
    gain = np.clip(ratio ** rng.uniform(0, 0.35), 0.5, 1.4)
    table = (np.arange(256)[:, None] * gain).clip(0, 255).astype(np.uint8)
    return cv2.LUT(layer.image, table[None])


def _fade_at_border(alpha: np.ndarray, cutout: Cutout) -> np.ndarray:
    """Return the coverage fading out towards the photograph's border, where the arm is cut."""
    reach = max(0.25 * float(palm_size(cutout.keypoints)), 1.0)
    height, width = alpha.shape
    rows = np.minimum(np.arange(height), np.arange(height)[::-1]) + 0.5
    columns = np.minimum(np.arange(width), np.arange(width)[::-1]) + 0.5
    ramp = np.minimum.outer(rows, columns).astype(np.float32) / reach
    keep = hand_region(cutout.keypoints, alpha.shape)
    return np.where(keep > 0, alpha, alpha * ramp.clip(0, 1)).astype(np.float32)


def _sleeve(
    cutout: Cutout, affine: np.ndarray, rng: np.random.Generator, size: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return colours (size, size, 3) and coverage (size, size) of a sleeve beyond the cut."""
    alpha = cutout.alpha > 127
    rows, columns = np.indices(alpha.shape)
    edge = np.zeros_like(alpha)
    edge[0], edge[-1], edge[:, 0], edge[:, -1] = True, True, True, True
    wrist = cutout.keypoints[WRIST]
    axis = wrist - cutout.keypoints[MIDDLE_MCP]
    axis /= max(float(np.linalg.norm(axis)), 1e-6)
    along = (columns - wrist[0]) * axis[0] + (rows - wrist[1]) * axis[1]
    cut = np.argwhere(alpha & edge & (along > 0))[:, ::-1]
    if len(cut) < 3:
        return None
    middle = cut.mean(axis=0)
    across = np.array([-axis[1], axis[0]])
    half = max(np.abs((cut - middle) @ across).max(), 3.0) * rng.uniform(1.05, 1.5)
    start = middle - axis * rng.uniform(0.1, 0.35) * palm_size(cutout.keypoints)
    end = middle + axis * rng.uniform(2, 12) * half
    wider = half * rng.uniform(1.0, 1.5)
    outline = np.array(
        [start + across * half, end + across * wider, end - across * wider, start - across * half]
    )
    outline = np.round(transform_points(affine, outline)).astype(np.int32)
    filled = np.zeros((size, size), np.float32)
    cv2.fillConvexPoly(filled, outline, 1.0, cv2.LINE_AA)
    cloth = cv2.GaussianBlur(filled, (0, 0), 0.6)
    coarse = rng.normal(0, 14, (rng.integers(4, 24), rng.integers(4, 24))).astype(np.float32)
    folds = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    colour = rng.uniform(5, 235) + rng.normal(0, 25, 3) + folds[..., None]
    return colour.clip(0, 255).astype(np.float32), cloth


def _lookup(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return (21,) bool: mask at the rounded points, false outside."""
    inside = points_inside(points, (0, 0, mask.shape[1], mask.shape[0]))
    column, row = np.where(inside[:, None], np.round(points), 0).astype(int).T
    limit = np.array(mask.shape) - 1
    return inside & mask[np.minimum(row, limit[0]), np.minimum(column, limit[1])]


def _to_sample(canvas: _Canvas) -> Sample:
    count = len(canvas.keypoints)
    fractions = np.array([canvas.fraction(hand) for hand in range(count)], np.float32)
    return Sample.from_keypoints(
        canvas.image,
        np.array(canvas.keypoints, np.float32).reshape(count, 21, 2),
        np.array(canvas.is_right, bool),
        keypoints_visible=np.array(canvas.visible, bool).reshape(count, 21),
        visible_fraction=fractions,
        mask=canvas.ids if canvas.masked else None,
        source="composite",
    )

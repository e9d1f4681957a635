"""Hands cut out of labelled photographs, to be pasted into composites.

GrabCut (Rother et al., SIGGRAPH 2004) is seeded with the labelled skeleton: bones and palm are
hand, what is far from every bone is background, except along the forearm. On plain backgrounds
the difference to a smooth background model decides in between. A cut-out that fails the checks
in `_is_plausible` is dropped: a wrong outline would teach the network wrong things.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from handmesh_ros.common.progress import progress
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import MIDDLE_MCP, SKELETON, WRIST
from handmesh_ros.training.data.composition.photographs import Photograph
from handmesh_ros.training.data.processes import in_processes
from handmesh_ros.training.data.sample import PALM_KEYPOINTS, Sample, palm_size

_CACHE_VERSION = "1"
_MIN_WORKING_SIDE = 200
_ITERATIONS = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cutout:
    """One hand, with the forearm as far as the photograph shows it, on transparent ground.

    Attributes:
        image: (h, w, 3) uint8 RGB.
        alpha: (h, w) uint8 coverage.
        keypoints: (21, 2) float32, pixels of `image`.
        is_right: side as seen.
        cut_at_border: the hand or its forearm was cut off by the border of the photograph.
        source: photograph it comes from.
    """

    image: np.ndarray
    alpha: np.ndarray
    keypoints: np.ndarray
    is_right: bool
    cut_at_border: bool
    source: str


def cut_out_all(
    photographs: Sequence[Photograph], cache: str | Path | None = None, workers: int = 1
) -> list[Cutout]:
    """Return the usable cut-outs of all photographs, in their order; broken images are skipped.

    Args:
        photographs: what to cut from.
        cache: file (.npz) that keeps the result; written when absent or made from other photos.
        workers: processes.
    """
    names = "\n".join([_CACHE_VERSION, *(f"{p.source_set}/{p.name}" for p in photographs)])
    key = hashlib.sha256(names.encode()).hexdigest()
    if cache is not None and Path(cache).is_file():
        cached = _load(Path(cache), key)
        if cached is not None:
            return cached
    cutouts, hand_count, broken = [], 0, 0
    made = in_processes(_cut_out_hands, photographs, workers)
    for hands in progress(made, "cut-outs", len(photographs)):
        if hands is None:
            broken += 1
            continue
        hand_count += len(hands)
        cutouts += [cutout for cutout in hands if cutout is not None]
    if broken:
        _log.warning("Skipped %d of %d images that cannot be used.", broken, len(photographs))
    _log.info("Cut out %d of %d hands.", len(cutouts), hand_count)
    if cache is not None:
        _save(Path(cache), key, cutouts)
    return cutouts


def _cut_out_hands(photograph: Photograph) -> list[Cutout | None] | None:
    """Return the cut-out of each hand, or None where the image cannot be used."""
    try:
        sample = photograph.read()
    except HandmeshError:
        return None
    return [cut_out(sample, hand) for hand in range(len(sample))]


def cut_out(sample: Sample, hand: int) -> Cutout | None:
    """Return one hand of a photograph, or None where its outline cannot be trusted.

    Args:
        sample: a photograph with 2D labels.
        hand: index of the hand.
    """
    image, keypoints, origin = _region_of(sample, hand)
    scale = max(1.0, _MIN_WORKING_SIDE / max(image.shape[:2]))
    if scale > 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        keypoints = (keypoints + 0.5) * scale - 0.5
    seeds = _seed(image, keypoints)
    others = [k for k in range(len(sample)) if k != hand]
    for other in sample.keypoints_2d[others]:
        _draw_hand(seeds, (other - origin + 0.5) * scale - 0.5, cv2.GC_BGD, 0.14)
    background_model, foreground_model = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(
            cv2.cvtColor(image, cv2.COLOR_RGB2Lab), seeds, (0, 0, 0, 0),
            background_model, foreground_model, _ITERATIONS, cv2.GC_INIT_WITH_MASK,
        )  # fmt: skip
    except cv2.error:
        return None
    inside = ((seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD)).astype(np.uint8)
    inside = _largest_part_at(inside, keypoints)
    if not _is_plausible(inside, keypoints):
        return None
    alpha = _soften(inside, scale)
    border = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    return Cutout(
        image=image,
        alpha=alpha,
        keypoints=keypoints.astype(np.float32),
        is_right=bool(sample.is_right[hand]),
        cut_at_border=bool(border.sum() > 3 * scale),
        source=sample.source,
    )


def hand_region(keypoints: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return (h, w) uint8 0/1: the pixels near bones and palm, without the forearm."""
    region = np.zeros(shape, np.uint8)
    _draw_hand(region, keypoints, 1, 0.3)
    return region


def _region_of(sample: Sample, hand: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the surroundings of a hand, its keypoints there, and the region's corner."""
    keypoints = sample.keypoints_2d[hand]
    height, width = sample.image.shape[:2]
    margin = 0.6 * float(palm_size(keypoints))
    low = np.maximum(np.floor(keypoints.min(axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(keypoints.max(axis=0) + margin), [width, height]).astype(int)
    return sample.image[low[1] : high[1], low[0] : high[0]], keypoints - low, low


def _draw_hand(target: np.ndarray, keypoints: np.ndarray, value: int, width: float) -> None:
    """Draw bones, `width` palm sizes thick, and the palm into an image."""
    points = np.round(keypoints).astype(np.int32)
    thickness = max(1, round(width * float(palm_size(keypoints))))
    for start, end in SKELETON:
        cv2.line(target, points[start].tolist(), points[end].tolist(), value, thickness)
    cv2.fillConvexPoly(target, cv2.convexHull(points[list(PALM_KEYPOINTS)]), value)


def _seed(image: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Return (h, w) uint8 of GrabCut labels."""
    shape = image.shape[:2]
    near, reach = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    _draw_hand(near, keypoints, 1, 0.22)
    _draw_hand(reach, keypoints, 1, 0.5)
    size = float(palm_size(keypoints))
    arm = keypoints[WRIST] - keypoints[[1, 5, MIDDLE_MCP, 13, 17]].mean(axis=0)
    arm_end = keypoints[WRIST] + arm / max(np.linalg.norm(arm), 1e-6) * 2.5 * size
    ends = np.round([keypoints[WRIST], arm_end]).astype(int).tolist()
    cv2.line(reach, ends[0], ends[1], 1, max(1, round(0.9 * size)))
    seeds = np.full(shape, cv2.GC_BGD, np.uint8)
    differs = _differs_from_plain(image, reach)
    if differs is None:
        seeds[reach > 0] = cv2.GC_PR_BGD
        seeds[near > 0] = cv2.GC_PR_FGD
    else:
        seeds[:] = cv2.GC_PR_BGD
        seeds[(differs > 0) & (reach > 0)] = cv2.GC_PR_FGD
        seeds[(differs == 0) & (near == 0)] = cv2.GC_BGD
    _draw_hand(seeds, keypoints, cv2.GC_FGD, 0.07)
    return seeds


def _differs_from_plain(image: np.ndarray, reach: np.ndarray) -> np.ndarray | None:
    """Return (h, w) bool where the image leaves a smooth background, None if it is not plain."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2Lab).astype(np.float32)
    height, width = reach.shape
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    basis = np.stack(
        [np.ones_like(rows), rows, columns, rows * columns, rows**2, columns**2], axis=-1
    )
    outside = reach == 0
    if outside.mean() < 0.1:
        return None
    chosen = outside
    for _ in range(3):
        factors = np.linalg.lstsq(basis[chosen], lab[chosen], rcond=None)[0]
        residual = lab - basis @ factors
        distance = np.linalg.norm(residual * (0.5, 1.5, 1.5), axis=-1)
        limit = 2.5 * np.median(distance[chosen]) + 1.0
        chosen = outside & (distance < limit)
    if np.median(distance[outside]) > 4.0 or (distance[outside] < 12).mean() < 0.85:
        return None
    return distance > max(9.0, limit)


def _largest_part_at(inside: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Return the connected part that holds the palm, smoothed, with small holes filled."""
    inside = cv2.morphologyEx(inside, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, parts = cv2.connectedComponents(inside)
    points = np.round(keypoints).astype(int).clip(0, [inside.shape[1] - 1, inside.shape[0] - 1])
    votes = parts[points[:, 1], points[:, 0]]
    votes = votes[votes > 0]
    if not len(votes):
        return np.zeros_like(inside)
    part = (parts == np.bincount(votes).argmax()).astype(np.uint8)
    _, holes, stats, _ = cv2.connectedComponentsWithStats(1 - part)
    limit = (0.12 * palm_size(keypoints)) ** 2
    for hole in range(1, len(stats)):
        if stats[hole, cv2.CC_STAT_AREA] < limit:
            part[holes == hole] = 1
    return part


def _is_plausible(inside: np.ndarray, keypoints: np.ndarray) -> bool:
    """Return whether an outline fits the skeleton: covers it, is not bloated, is not ragged."""
    size = float(palm_size(keypoints))
    shape = inside.shape
    grown = cv2.dilate(inside, np.ones((3, 3), np.uint8), iterations=max(1, round(0.03 * size)))
    points = np.round(keypoints).astype(int)
    within = ((points >= 0) & (points < [shape[1], shape[0]])).all(axis=1)
    points = points[within]
    if within.sum() < 18 or not grown[points[:, 1], points[:, 0]].all():
        return False
    tight, wide = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    _draw_hand(tight, keypoints, 1, 0.12)
    _draw_hand(wide, keypoints, 1, 0.36)
    covered = (inside & tight).sum() / max(1, tight.sum())
    filled = (inside & wide).sum() / max(1, wide.sum())
    beyond = cv2.dilate(wide, np.ones((5, 5), np.uint8), iterations=max(1, round(0.03 * size)))
    wrist = keypoints[WRIST]
    rows, columns = np.indices(shape)
    axis = keypoints[MIDDLE_MCP] - wrist
    ahead = (columns - wrist[0]) * axis[0] + (rows - wrist[1]) * axis[1] > 0
    spill = (inside.astype(bool) & (beyond == 0) & ahead).sum() / max(1, wide.sum())
    return bool(covered > 0.97 and 0.4 < filled < 0.97 and spill < 0.04)


def _soften(inside: np.ndarray, scale: float) -> np.ndarray:
    """Return (h, w) uint8 alpha: the outline smoothed and drawn in by half a source pixel."""
    blurred = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.8 * scale)
    return (np.clip((blurred - 0.5) * 2.0, 0, 1) * 255).astype(np.uint8)


def _save(path: Path, key: str, cutouts: list[Cutout]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = [
        cv2.imencode(".png", np.dstack([cutout.image[..., ::-1], cutout.alpha]))[1].ravel()
        for cutout in cutouts
    ]
    np.savez(
        path,
        key=key,
        data=np.concatenate(encoded) if encoded else np.zeros(0, np.uint8),
        lengths=np.array([len(item) for item in encoded], np.int64),
        keypoints=np.array([c.keypoints for c in cutouts], np.float32).reshape(-1, 21, 2),
        is_right=np.array([c.is_right for c in cutouts], bool),
        cut_at_border=np.array([c.cut_at_border for c in cutouts], bool),
        source=np.array([c.source for c in cutouts], str),
    )


def _load(path: Path, key: str) -> list[Cutout] | None:
    with np.load(path) as stored:
        if str(stored["key"]) != key:
            return None
        arrays = {name: stored[name] for name in stored.files}
    ends = np.cumsum(arrays["lengths"])
    cutouts = []
    for index, (end, length) in enumerate(zip(ends, arrays["lengths"], strict=True)):
        decoded = cv2.imdecode(arrays["data"][end - length : end], cv2.IMREAD_UNCHANGED)
        assert decoded is not None
        cutouts.append(
            Cutout(
                image=np.ascontiguousarray(decoded[..., 2::-1]),
                alpha=np.ascontiguousarray(decoded[..., 3]),
                keypoints=arrays["keypoints"][index],
                is_right=bool(arrays["is_right"][index]),
                cut_at_border=bool(arrays["cut_at_border"][index]),
                source=str(arrays["source"][index]),
            )
        )
    return cutouts

"""Hands drawn on their image: shaded mesh, skeleton, box and label, with NumPy and OpenCV only."""

from __future__ import annotations

import cv2
import numpy as np

from handmesh_ros.hand.conventions import RIGHT, SIDES, SKELETON
from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.preprocess import check_image, check_intrinsics, intrinsics_from_fov

FINGER_COLORS = ((240, 80, 60), (250, 180, 40), (90, 210, 90), (60, 150, 250), (190, 90, 230))
"""RGB of the thumb, index, middle, ring and little finger."""

SIDE_COLORS = ((95, 175, 255), (255, 170, 95))
"""RGB of left and right hands: boxes, labels and meshes."""

_LIGHT = np.array([-0.35, -0.55, -0.76])
"""Direction towards the light in the camera frame: behind the camera, above and left of it."""

_AMBIENT = 0.4
_NEAREST = 1e-3
_SUBDIVIDE_ABOVE = 250.0
"""Hands larger than this many pixels are drawn with four times the triangles: smoother shading."""

_FAR_PIXEL = 16000.0
_SUBPIXEL_BITS = 4


def draw_hands(
    image: np.ndarray,
    hands: Hands,
    *,
    faces: np.ndarray | None = None,
    intrinsics: np.ndarray | tuple[float, ...] | None = None,
    skeleton: bool = True,
    labels: bool = True,
    mesh_opacity: float = 0.75,
    texture: bool = False,
) -> np.ndarray:
    """Return a copy of the image with the hands drawn on it.

    Args:
        image: (H, W, 3) uint8 RGB, the image that `hands` were found in.
        hands: the hands.
        faces: (F, 3) triangles of `hands.vertices` on a right hand, as
            `HandTemplate.closed_faces`; None draws no mesh.
        intrinsics: (4,) fx, fy, cx, cy that the hands were found with; None the assumed ones.
        skeleton: draw the 21 keypoints and the bones between them.
        labels: draw boxes with side and score.
        mesh_opacity: of the mesh, in [0, 1].
        texture: draw meshes in the skin's colours that were found, not in those of sides.

    Raises:
        HandmeshError: the image or the intrinsics cannot be used.
    """
    check_image(image)
    canvas = image.copy()
    if intrinsics is None:
        intrinsics = intrinsics_from_fov(*image.shape[:2])
    if faces is not None and len(hands):
        intrinsics = check_intrinsics(intrinsics)
        _draw_meshes(canvas, hands, faces, intrinsics, mesh_opacity, texture)
    for index in reversed(range(len(hands))):
        if skeleton:
            _draw_skeleton(canvas, hands.keypoints_2d[index])
        if labels:
            _draw_label(canvas, hands, index)
    return canvas


def project(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Project (..., 3) points, metres in the camera frame, to (..., 2) pixels.

    Points at or behind the camera have no image: they come out as finite numbers far outside.
    """
    depth = np.maximum(points[..., 2:], _NEAREST)
    pixels = points[..., :2] / depth * intrinsics[:2] + intrinsics[2:]
    return np.clip(pixels, -_FAR_PIXEL, _FAR_PIXEL)


def _draw_meshes(
    canvas: np.ndarray,
    hands: Hands,
    faces: np.ndarray,
    intrinsics: np.ndarray,
    opacity: float,
    texture: bool,
) -> None:
    triangles, colors, depths = [], [], []
    for index, side in enumerate(hands.handedness):
        outward = faces if side == RIGHT else faces[:, ::-1]
        vertices = hands.vertices[index].astype(np.float64)
        corners, normals, visible = _visible_triangles(vertices, outward)
        color = np.tile(SIDE_COLORS[side], (len(corners), 1))
        if texture:
            color = 255 * hands.colors[index][outward[visible]].mean(axis=1)
        if _longer_side(hands.box[index]) > _SUBDIVIDE_ABOVE:
            corners, normals = _subdivide(corners), _subdivide(normals)
            color = np.tile(color, (4, 1))
        facing = normals.mean(axis=1)
        facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-12)
        brightness = _AMBIENT + (1.0 - _AMBIENT) * np.maximum(facing @ _LIGHT, 0.0)
        triangles.append(project(corners, intrinsics))
        colors.append(brightness[:, None] * color)
        depths.append(corners[..., 2].mean(axis=1))
    order = np.argsort(-np.concatenate(depths))
    pixels = np.concatenate(triangles)[order]
    if not len(pixels):
        return
    height, width = canvas.shape[:2]
    low = np.clip(np.floor(pixels.min(axis=(0, 1))) - 1, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=(0, 1))) + 2, 0, (width, height)).astype(int)
    if (high <= low).any():
        return
    region = canvas[low[1] : high[1], low[0] : high[0]]
    layer = _paint(pixels - low, np.concatenate(colors)[order], region.shape[:2])
    coverage = layer[..., 3:] * (opacity / 255.0)
    region[:] = np.rint(region * (1.0 - coverage) + layer[..., :3] * opacity)


def _visible_triangles(
    vertices: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return corners and smooth normals, (M, 3, 3), of faces seen, and which are, (F,) bool."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    smooth = np.zeros_like(vertices)
    np.add.at(smooth, faces, normals[:, None])
    smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-12)
    visible = (normals * corners[:, 0]).sum(axis=1) < 0.0
    visible &= (corners[..., 2] > _NEAREST).all(axis=1)
    return corners[visible], smooth[faces[visible]], visible


def _subdivide(corners: np.ndarray) -> np.ndarray:
    """Split triangles (M, 3, C) at the middles of their edges into (4 M, 3, C)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, bc, ca = (a + b) / 2.0, (b + c) / 2.0, (c + a) / 2.0
    parts = ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
    return np.concatenate([np.stack(part, axis=1) for part in parts])


def _paint(corners: np.ndarray, colors: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fill triangles (M, 3, 2), farthest first, on an empty layer (H, W, 4) uint8.

    The layer is painted at twice the size where that is affordable and averaged down, so that
    outlines are smooth and its colours are premultiplied by the coverage in its last channel.
    """
    scale = 2 if size[0] * size[1] < 1_000_000 else 1
    layer = np.zeros((scale * size[0], scale * size[1], 4), np.uint8)
    centred = (corners + 0.5) * scale - 0.5
    fixed_point = np.rint(centred * 2**_SUBPIXEL_BITS).astype(np.int32)
    fills = np.column_stack([np.minimum(colors, 255.0), np.full(len(colors), 255.0)]).tolist()
    for triangle, fill in zip(fixed_point, fills, strict=True):
        cv2.fillConvexPoly(layer, triangle, fill, shift=_SUBPIXEL_BITS)
    if scale == 1:
        return layer
    return cv2.resize(layer, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def _draw_skeleton(canvas: np.ndarray, keypoints: np.ndarray) -> None:
    points = np.rint(np.clip(keypoints, -_FAR_PIXEL, _FAR_PIXEL)).astype(int).tolist()
    thickness = _line_thickness(canvas, float(np.ptp(keypoints, axis=0).max()))
    for bone, (start, end) in enumerate(SKELETON):
        color = FINGER_COLORS[bone // 4]
        cv2.line(canvas, points[start], points[end], color, thickness, cv2.LINE_AA)
    for keypoint, point in enumerate(points):
        color = (255, 255, 255) if keypoint == 0 else FINGER_COLORS[(keypoint - 1) // 4]
        cv2.circle(canvas, point, thickness + 1, (30, 30, 30), -1, cv2.LINE_AA)
        cv2.circle(canvas, point, thickness, color, -1, cv2.LINE_AA)


def _draw_label(canvas: np.ndarray, hands: Hands, index: int) -> None:
    height, width = canvas.shape[:2]
    side, box = int(hands.handedness[index]), hands.box[index]
    color, thickness = SIDE_COLORS[side], _line_thickness(canvas, _longer_side(box))
    corners = np.rint(np.clip(box, -_FAR_PIXEL, _FAR_PIXEL)).astype(int).tolist()
    cv2.rectangle(canvas, corners[:2], corners[2:], color, thickness)
    text = f"{SIDES[side]} {hands.score[index]:.2f}"
    scale = min(max(np.hypot(height, width) / 1600.0, 0.35), 3.0)
    stroke = max(1, round(1.6 * scale))
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, stroke)
    pad = max(2, text_height // 3)
    left = int(np.clip(corners[0], 0, max(0, width - text_width - 2 * pad)))
    bottom = int(np.clip(corners[1], text_height + 2 * pad, max(text_height + 2 * pad, height)))
    top_left = (left, bottom - text_height - 2 * pad)
    cv2.rectangle(canvas, top_left, (left + text_width + 2 * pad, bottom), color, -1)
    origin = (left + pad, bottom - pad)
    cv2.putText(
        canvas, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (20, 20, 20), stroke, cv2.LINE_AA
    )


def _longer_side(box: np.ndarray) -> float:
    return float(np.max(box[2:] - box[:2]))


def _line_thickness(canvas: np.ndarray, hand_size: float) -> int:
    """Thickness that suits both the image and a hand of `hand_size` pixels."""
    return max(1, round(min(float(np.hypot(*canvas.shape[:2])) / 450.0, hand_size / 50.0)))

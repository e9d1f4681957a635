"""Photometric losses: the photograph's colours at the mesh, and the hand's outline.

Both go without a rasteriser. A rasteriser's gradient lives in the pixels along edges and costs a
pass per hand; here the photograph is read at the projected vertices (photometric), and vertices
are compared with the mask's pixels by distance (silhouette), which pulls from any distance.

Shapes: N hands, V vertices, F faces, P points of a mask. Colours are sRGB in [0, 1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from handmesh_ros.hand.conventions import MIDDLE_MCP, WRIST

LIGHT_COUNT = 9
"""Spherical harmonics up to the second order; times three colours, 27 numbers light a hand."""

_GAMMA = 2.2
_CELLS = 24
_BEHIND = 0.008
_FACING = 0.2
_RIDGE = 0.02
_SLACK = 0.05


def vertex_normals(vertices: Tensor, faces: Tensor, is_right: Tensor) -> Tensor:
    """Return (N, V, 3) unit normals pointing outwards.

    Args:
        vertices: (N, V, 3).
        faces: (F, 3) of the right hand.
        is_right: (N,) 1 for right hands; the mirrored ones' normals are turned.
    """
    corners = vertices[:, faces]  # (N, F, 3, 3)
    across = torch.linalg.cross(
        corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0]
    )
    normals = torch.zeros_like(vertices)
    for corner in range(3):
        normals = normals.index_add(1, faces[:, corner], across)
    sign = 2 * is_right.to(vertices.dtype) - 1
    return F.normalize(normals, dim=-1) * sign[:, None, None]


def visible_vertices(vertices: Tensor, normals: Tensor, points: Tensor) -> Tensor:
    """Return (N, V) bool: vertices that face the camera with nothing of the hand before them.

    The depth buffer has 24 cells along the hand; a vertex is hidden when another one in its cell
    is 8 mm nearer. Other hands and objects are not known here.

    Args:
        vertices: (N, V, 3) metres, camera frame.
        normals: (N, V, 3).
        points: (N, V, 2) the projected vertices.
    """
    with torch.no_grad():
        towards = -F.normalize(vertices, dim=-1)
        facing = (normals * towards).sum(-1) > _FACING
        low = points.amin(1, keepdim=True)
        extent = (points.amax(1, keepdim=True) - low).amax(-1, keepdim=True).clamp(min=1e-6)
        cell = ((points - low) / extent * _CELLS).long().clamp(0, _CELLS - 1)
        index = cell[..., 1] * _CELLS + cell[..., 0]
        nearest = torch.full((len(vertices), _CELLS**2), torch.inf).to(vertices)
        nearest = nearest.scatter_reduce(1, index, vertices[..., 2], "amin")
        return facing & (vertices[..., 2] < nearest.gather(1, index) + _BEHIND)


def read_colours(image: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Read images bilinearly at points; the gradient reaches the points.

    Args:
        image: (N, 3, H, W) in [0, 1], one for each hand.
        points: (N, V, 2) pixels; whole numbers are pixel centres.

    Returns:
        colours (N, V, 3), and whether each point lies inside (N, V) bool.
    """
    extent = points.new_tensor([image.shape[3], image.shape[2]])
    grid = (2 * points + 1) / extent - 1
    read = F.grid_sample(image, grid[:, None], align_corners=False)[:, :, 0].transpose(1, 2)
    return read, (grid.abs() < 1).all(-1)


def light_basis(normals: Tensor) -> Tensor:
    """Return (N, V, 9) real spherical harmonics of normals, the first one constant 1.

    Args:
        normals: (N, V, 3) unit vectors, camera frame.
    """
    x, y, z = normals.unbind(-1)
    terms = (torch.ones_like(x), x, y, z, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y)
    return torch.stack(terms, dim=-1)


def lit_colours(albedo: Tensor, normals: Tensor, lighting: Tensor) -> Tensor:
    """Return (N, V, 3) the colours of a matt surface under a light.

    Args:
        albedo: (N, V, 3).
        normals: (N, V, 3) unit vectors, camera frame.
        lighting: (N, 9, 3); 1 in the first row and 0 elsewhere shows the albedo as it is.
    """
    linear = albedo.clamp(min=1e-4) ** _GAMMA * (light_basis(normals) @ lighting)
    return linear.clamp(1e-4, 1) ** (1 / _GAMMA)


def best_lighting(albedo: Tensor, normals: Tensor, seen: Tensor, weight: Tensor) -> Tensor:
    """Return the (N, 9, 3) lighting that best explains what is seen of an albedo.

    Least squares in linear light with a little preference for plain white light; a network needs
    no head for the 27 numbers. No gradient: colours must not be explained by changing the light.

    Args:
        albedo: (N, V, 3).
        normals: (N, V, 3).
        seen: (N, V, 3) colours of the photograph.
        weight: (N, V) 1 for vertices that count.
    """
    with torch.no_grad():
        basis = light_basis(normals)[..., None, :]  # (N, V, 1, 9)
        design = albedo.clamp(min=1e-4)[..., None] ** _GAMMA * basis  # (N, V, 3, 9)
        design = (design * weight[..., None, None]).transpose(1, 2)  # (N, 3, V, 9)
        white = torch.zeros(LIGHT_COUNT).to(albedo)
        white[0] = 1
        wanted = ((seen.clamp(0, 1) ** _GAMMA) * weight[..., None]).transpose(1, 2)
        left = wanted - design @ white  # (N, 3, V)
        square = design.transpose(2, 3) @ design
        scale = square.diagonal(dim1=2, dim2=3).amax(-1)[..., None, None].clamp(min=1e-6)
        identity = torch.eye(LIGHT_COUNT).to(albedo)
        right = design.transpose(2, 3) @ left[..., None]
        change = torch.linalg.solve(square + _RIDGE * scale * identity, right)[..., 0]
        return (white + change).transpose(1, 2)


def photometric(
    colours: Tensor, lit_by: Tensor, normals: Tensor, image: Tensor, points: Tensor, weight: Tensor
) -> Tensor:
    """Return the squared distance of the lit vertex colours to the photograph, mean of the seen.

    The gradient moves colours, lighting, and through the photograph's own gradient the vertices.

    Args:
        colours: (N, V, 3) albedo.
        lit_by: (N, 9, 3), predicted or from `best_lighting`.
        normals: (N, V, 3) unit vectors, camera frame.
        image: (N, 3, H, W) in [0, 1], one for each hand.
        points: (N, V, 2) projected vertices, pixels of the image.
        weight: (N, V) 1 for vertices that are seen (`visible_vertices`), 0 for others.
    """
    seen, inside = read_colours(image, points)
    weight = weight.to(colours.dtype) * inside
    apart = (lit_colours(colours, normals, lit_by) - seen).square().mean(-1)
    return (apart * weight).sum() / weight.sum().clamp(min=1)


def mask_points(
    mask: Tensor, number: Tensor, box: Tensor, keypoints: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Sample the masks of hands on a grid over their boxes.

    Args:
        mask: (N, H, W) uint8 as in `Sample.mask`, one for each hand.
        number: (N,) the hand's value in it, from 1.
        box: (N, 4) pixels.
        keypoints: (N, 21, 2) labelled keypoints; what lies behind the wrist is the forearm, which
            masks hold and the mesh does not.

    Returns:
        points (N, P, 2) pixels; wanted (N, P) bool, the hand without its forearm; allowed (N, P)
        bool, the hand, its forearm, and occluders, under which it may reach.
    """
    steps = torch.linspace(0, 1, _CELLS).to(box)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    unit = torch.stack([x, y], dim=-1).reshape(1, -1, 2)
    points = box[:, None, :2] + unit * (box[:, None, 2:] - box[:, None, :2])
    height, width = mask.shape[1:]
    column, row = points.round().long().unbind(-1)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    index = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    value = mask.flatten(1).gather(1, index).long()
    hand = (value == number[:, None]) & inside
    wrist, middle = keypoints[:, WRIST, None], keypoints[:, MIDDLE_MCP, None]
    forearm = ((points - wrist) * (middle - wrist)).sum(-1) < 0
    return points, hand & ~forearm, hand | ((value == 255) & inside) | ~inside


def silhouette(projected: Tensor, points: Tensor, wanted: Tensor, allowed: Tensor) -> Tensor:
    """Return how far mesh and mask stand out of each other, in hand sizes (a chamfer distance).

    A vertex pays its distance to the nearest place where the hand may be, a point of the mask its
    distance to the nearest vertex, both beyond a slack of a twentieth of the hand, which is the
    spacing of the samples.

    Args:
        projected: (N, V, 2) vertices, pixels.
        points: (N, P, 2) from `mask_points`, like the next two.
        wanted: (N, P) bool.
        allowed: (N, P) bool.
    """
    size = (points.amax(1) - points.amin(1)).amax(-1).clamp(min=4)[:, None]
    distance = torch.cdist(projected, points) / size[..., None]  # (N, V, P)
    known = wanted.any(1)
    outside = distance.masked_fill(~allowed[:, None], torch.inf).amin(2)
    outside = torch.where(torch.isfinite(outside), outside, torch.zeros_like(outside))
    uncovered = distance.amin(1)
    share = wanted.to(distance.dtype)
    over = (outside - _SLACK).clamp(min=0).mean(1)
    under = ((uncovered - _SLACK).clamp(min=0) * share).sum(1) / share.sum(1).clamp(min=1)
    return ((over + under) * known).sum() / known.sum().clamp(min=1)

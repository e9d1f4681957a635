"""What is computed once per hand: its box, then its keypoints, pose, shape, place and colours.

Shapes: B images, N hands in a flat list, C feature channels, V vertices.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handmesh_ros.hand.model import rotation_from_6d
from handmesh_ros.network.config import NetworkConfig
from handmesh_ros.network.layers import conv, mlp

WINDOW = 1.25
"""Side of the square that is read around a hand, in longer sides of its box."""

HAND_LENGTH = 0.17
"""Longer side of a hand's box, metres, on average: where the scale starts from."""


class HandBoxes(NamedTuple):
    """Where N hands are.

    Attributes:
        size: (N,) longer side of the coarse box, network pixels.
        coarse_box: (N, 4) x0, y0, x1, y1, network pixels, from the hand's centre.
        box: (N, 4) the same, after box refinement.
        quality_logit: (N,) log odds that the box holds a hand, trained to be its IoU.
    """

    size: Tensor
    coarse_box: Tensor
    box: Tensor
    quality_logit: Tensor


class HandParameters(NamedTuple):
    """What the heads say of N hands, before the hand model.

    Attributes:
        coarse_keypoints: (N, 21, 2) network pixels, from the hand's window.
        keypoints: (N, 21, 2) network pixels, refined at the coarse keypoints.
        side_logit: (N,) log odds of a right hand.
        palm_logit: (N,) log odds of seeing its palm, not its back.
        turn_logit: (N,) log odds of a positive `palm_turn`.
        is_right: (N,) 1 for right hands: the side that the other numbers are for.
        rotations: (N, 16, 3, 3) seen from the camera along the wrist's ray, as right hand.
        shape: (N, 10).
        scale: (N,) network pixels per metre at the wrist.
        wrist: (N, 2) network pixels.
        colors: (N, V, 3) in [0, 1].
        features: (N, hidden) what all but the side follows from.
    """

    coarse_keypoints: Tensor
    keypoints: Tensor
    side_logit: Tensor
    palm_logit: Tensor
    turn_logit: Tensor
    is_right: Tensor
    rotations: Tensor
    shape: Tensor
    scale: Tensor
    wrist: Tensor
    colors: Tensor
    features: Tensor


def box_windows(box: Tensor) -> Tensor:
    """Return the squares (N, 3), centre and side, that are read around boxes (N, 4)."""
    extent = (box[:, 2:] - box[:, :2]).amax(1, keepdim=True).clamp(min=4)
    return torch.cat([(box[:, :2] + box[:, 2:]) / 2, WINDOW * extent], dim=1)


class WindowReader(nn.Module):
    """Reads the maps on grids over a hand's window, as region-of-interest heads do.

    A coarse grid tells what is there and how the hand lies, from every map; a fine one goes
    through convolutions, for what only the shared map resolves: single fingers, palm or back.
    """

    grid: Tensor

    def __init__(self, config: NetworkConfig, context: tuple[int, ...]):
        super().__init__()
        channels, cells, fine = config.channels, config.window_cells, config.fine_cells
        self.coarse_points, self.fine_cells = cells * cells, fine
        self.layout = nn.Linear(context[0], channels // 4)
        side = (fine + 1) // 2
        self.detail = nn.Sequential(
            conv(channels + context[0], channels, kernel=1, norm=False),
            conv(channels, channels, depthwise=True, norm=False),
            conv(channels, channels, depthwise=True, stride=2, norm=False),
            nn.Flatten(),
            nn.Linear(side * side * channels, 2 * channels),
            nn.LayerNorm(2 * channels),
            nn.ReLU(),
        )
        self.outputs = channels + sum(context) + cells * cells * (channels // 4) + 2 * channels
        grids = []
        for count in (cells, fine):
            steps = (torch.arange(count) + 0.5) / count - 0.5
            grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
            grids.append(grid.reshape(-1, 2))
        self.register_buffer("grid", torch.cat(grids), persistent=False)

    def forward(self, maps: list[Tensor], image: Tensor, window: Tensor, stride: int) -> Tensor:
        """Return (N, outputs): means of all maps, the layout at stride 16, the detail.

        Args:
            maps: the shared map (B, C, H, W), then coarser ones.
            image: (N,) index of each hand's image in the batch.
            window: (N, 3) centre and side of each square, network pixels.
            stride: of the shared map, network pixels.
        """
        extent = _extent(maps, stride)
        points = window[:, None, :2] + self.grid * window[:, 2, None, None]
        count, fine = self.coarse_points, self.fine_cells
        read = [_read(features, image, points, extent) for features in maps[:2]]
        last = [_read(features, image, points[:, :count], extent) for features in maps[2:]]
        means = [cells[:, :count].mean(1) for cells in (*read, *last)]
        closely = torch.cat([cells[:, count:] for cells in read], dim=2)
        closely = closely.transpose(1, 2).unflatten(2, (fine, fine))
        layout = self.layout(read[1][:, :count]).flatten(1)
        return torch.cat([*means, layout, self.detail(closely)], dim=1)


class BoxHead(nn.Module):
    """A hand's box: coarse from its centre, then refined from a window around that."""

    corners: Tensor

    def __init__(self, config: NetworkConfig, context: tuple[int, ...], reader_outputs: int):
        super().__init__()
        hidden = config.hidden // 2
        self.from_centre = mlp(config.channels + sum(context), hidden)
        self.size = nn.Linear(hidden, 1)
        self.coarse_box = nn.Linear(hidden, 4)
        self.from_window = mlp(reader_outputs, hidden)
        self.box = nn.Linear(hidden, 4)
        self.quality = nn.Linear(hidden, 1)
        nn.init.normal_(self.box.weight, std=0.01)
        nn.init.zeros_(self.box.bias)
        corners = torch.tensor([-0.5, -0.5, 0.5, 0.5]) / WINDOW
        self.register_buffer("corners", corners, persistent=False)

    def forward(
        self,
        reader: WindowReader,
        maps: list[Tensor],
        image: Tensor,
        centre: Tensor,
        stride: int,
        window: Tensor | None = None,
    ) -> HandBoxes:
        """Find the boxes of N hands.

        Args:
            reader: of the windows.
            maps: the shared map (B, C, H, W), then coarser ones.
            image: (N,) index of each hand's image in the batch.
            centre: (N, 2) network pixels.
            stride: of the shared map, network pixels.
            window: (N, 3) centre and side of the square to look into, network pixels; None for
                the one around the coarse box.
        """
        extent = _extent(maps, stride)
        read = [_read(features, image, centre[:, None], extent)[:, 0] for features in maps]
        at_centre = self.from_centre(torch.cat(read, dim=1))  # (N, hidden / 2)
        size = torch.exp(self.size(at_centre)[:, 0].clamp(-3, 3)) * (8.0 * stride)  # (N,)
        # Left, top, right, bottom; what is measured in sizes must not pull at the size.
        reach = F.softplus(self.coarse_box(at_centre)) * size.detach()[:, None]
        coarse = torch.cat([centre - reach[:, :2], centre + reach[:, 2:]], dim=1)
        if window is None:
            window = box_windows(coarse.detach())
        in_window = self.from_window(reader(maps, image, window, stride))
        corners = (self.box(in_window) + self.corners) * window[:, 2:]  # from the middle
        return HandBoxes(
            size=size,
            coarse_box=coarse,
            box=torch.cat([window[:, :2], window[:, :2]], dim=1) + corners,
            quality_logit=self.quality(in_window)[:, 0],
        )


class HandHeads(nn.Module):
    """From the maps in a hand's window to that hand's parameters."""

    def __init__(self, config: NetworkConfig, reader_outputs: int, vertex_count: int):
        super().__init__()
        channels, hidden = config.channels, config.hidden
        self.vertex_count = vertex_count
        self.from_window = mlp(reader_outputs, hidden)
        self.side = nn.Linear(hidden, 1)
        self.palm = nn.Linear(hidden, 1)
        self.turn = nn.Linear(hidden, 1)
        self.coarse_keypoints = nn.Linear(hidden, 42)
        self.at_keypoint = nn.Linear(channels, channels // 2)
        self.from_keypoints = mlp(21 * (channels // 2) + 42 + hidden + 1, hidden)
        self.keypoints = nn.Linear(hidden, 42)
        self.rotations = nn.Linear(hidden, 16 * 6)
        self.shape = nn.Linear(hidden, 10)
        self.placement = nn.Linear(hidden, 3)
        # The trunk is nearly blind to absolute colour, so the image itself is sampled, too.
        self.color_weights = nn.Sequential(
            nn.Linear(hidden + 21 * 3, 128), nn.ReLU(), nn.Linear(128, config.color_rank)
        )
        self.color_patterns = nn.Linear(config.color_rank, 3 * vertex_count)
        for head in (self.coarse_keypoints, self.keypoints, self.rotations, self.placement):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
        nn.init.normal_(self.color_patterns.weight, std=0.1)

    def forward(
        self,
        reader: WindowReader,
        maps: list[Tensor],
        low_res_image: Tensor,
        image: Tensor,
        window: Tensor,
        stride: int,
        is_right: Tensor | None = None,
        side_logit: Tensor | None = None,
    ) -> HandParameters:
        """Read N hands off the feature maps.

        Args:
            reader: of the windows.
            maps: the shared map (B, C, H, W), then coarser ones.
            low_res_image: (B, 3, h, w) the images themselves, RGB in [0, 1], at any size.
            image: (N,) index of each hand's image in the batch.
            window: (N, 3) centre and side of the square to look into, network pixels.
            stride: of the shared map, network pixels.
            is_right: (N,) 1 for right hands; None to decide it here.
            side_logit: (N,) what the heatmaps say of the side; used when it is decided here.
        """
        count, extent = window.shape[0], _extent(maps, stride)
        middle, side = window[:, None, :2], window[:, 2, None, None]
        in_window = self.from_window(reader(maps, image, window, stride))
        coarse = self.coarse_keypoints(in_window).reshape(count, 21, 2)  # in windows
        palm_logit, turn_logit = self.palm(in_window)[:, 0], self.turn(in_window)[:, 0]
        # Which side a hand is of follows from which face of it is seen and which way round its
        # knuckles lie, by exclusive or: a product that layers would be slow to find.
        own_side_logit = self.side(in_window)[:, 0] + palm_logit * torch.tanh(turn_logit)
        if is_right is None:
            assert side_logit is not None
            own_side_logit = (own_side_logit + side_logit) / 2
            is_right = (own_side_logit > 0).float()

        # The keypoints are looked up where the window says they are; the gradient goes through
        # what is read there, not through where it is read.
        read_there = _read(maps[0], image, middle + coarse.detach() * side, extent)
        at_keypoints = self.at_keypoint(read_there).flatten(1)
        sign = is_right[:, None] * 2 - 1
        hand = self.from_keypoints(
            torch.cat([at_keypoints, coarse.detach().flatten(1), in_window, sign], dim=1)
        )  # (N, hidden)
        keypoints = coarse + self.keypoints(hand).reshape(count, 21, 2)
        keypoints = middle + keypoints * side
        placement = self.placement(hand)
        seen = _read(low_res_image, image, keypoints.detach(), extent).flatten(1)
        weights = self.color_weights(torch.cat([hand.detach(), seen], dim=1))
        colors = self.color_patterns(weights).reshape(count, self.vertex_count, 3)
        identity = hand.new_tensor([1.0, 0, 0, 0, 1, 0]).repeat(16)
        return HandParameters(
            coarse_keypoints=middle + coarse * side,
            keypoints=keypoints,
            side_logit=own_side_logit,
            palm_logit=palm_logit,
            turn_logit=turn_logit,
            is_right=is_right,
            rotations=rotation_from_6d((self.rotations(hand) + identity).reshape(count, 16, 6)),
            shape=self.shape(hand),
            scale=torch.exp(placement[:, 0].clamp(-3, 3)) * window[:, 2] / (WINDOW * HAND_LENGTH),
            wrist=keypoints[:, 0] + placement[:, 1:] * side[:, 0],
            colors=torch.sigmoid(colors),
            features=hand,
        )


def palm_turn(keypoints: Tensor) -> Tensor:
    """Return how far the palm is turned to the camera, (N,) in [-1, 1].

    The sine of the angle from the wrist's line to the little finger's knuckle to that to the
    index finger's: positive where a right hand shows its palm, or a left hand its back.

    Args:
        keypoints: (N, 21, 2), x to the right and y down.
    """
    index, little = (keypoints[:, knuckle] - keypoints[:, 0] for knuckle in (5, 17))
    cross = little[:, 0] * index[:, 1] - little[:, 1] * index[:, 0]
    lengths = (index * index).sum(1) * (little * little).sum(1)
    return cross * torch.rsqrt(lengths + 1e-12)


def _extent(maps: list[Tensor], stride: int) -> Tensor:
    """Return (2,) width and height of the images whose shared map comes first, network pixels."""
    return torch.tensor(
        [stride * maps[0].shape[3], stride * maps[0].shape[2]], device=maps[0].device
    )


def _read(features: Tensor, image: Tensor, points: Tensor, extent: Tensor) -> Tensor:
    """Read a map bilinearly at network pixels.

    Args:
        features: (B, C, H, W).
        image: (N,) index into B.
        points: (N, P, 2) network pixels; whole numbers are pixel centres.
        extent: (2,) width and height of the image, network pixels.

    Returns:
        (N, P, C); zeros outside the image.
    """
    grid = (2 * points + 1) / extent - 1  # grid_sample puts -1 and 1 at the image's corners
    if features.shape[0] == 1:  # the exported graph: all hands read the one image
        read = F.grid_sample(features, grid[None], align_corners=False)  # (1, C, N, P)
        return read[0].permute(1, 2, 0)
    # Points of one image are read together, filled up to the most hands of an image: copies of
    # the map for each hand would cost a sixth of a training step.
    rank = (image[:, None] == image).tril(-1).sum(1)  # (N,) hands of the same image before
    most = int(rank.max()) + 1 if len(rank) else 1
    padded = grid.new_zeros(features.shape[0], most, *grid.shape[1:])
    read = F.grid_sample(features, padded.index_put((image, rank), grid), align_corners=False)
    return read.permute(0, 2, 3, 1)[image, rank]

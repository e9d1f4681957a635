"""The single-stage hand network, top to bottom.

One trunk, one shared feature map at stride 8, one pair of centre heatmaps (left, right). At the K
best peaks the maps are read: at the centre, which gives the hand's box; on a grid over that box,
which gives side and coarse keypoints; and at these keypoints. Small heads turn what was read
into keypoints, pose, shape, placement and colours, and the skinned hand model turns those into a
mesh in the camera frame. All of it is one graph.

After Ren, Zhu and Zhang, "End-to-end Weakly-supervised Single-stage Multiple 3D Hand Mesh
Reconstruction from a Single RGB Image" (CVIU 2023), with the changes listed in ARCHITECTURE.md.

Shapes: B images, K slots per image, N hands in a flat list, C feature channels, V vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.model import HandModel, mirror_rotations, rotation_from_6d
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.backbone import BACKBONES

WINDOW = 1.25
"""Side of the square that is read around a hand, in longer sides of its box."""

HAND_LENGTH = 0.17
"""Longer side of a hand's box, metres, on average: where the scale starts from."""


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network.

    Args:
        backbone: "hand_landmark" or "resnet50".
        input_size: side of the square input image, pixels, a multiple of 32.
        stride: of the shared feature map and the centre heatmaps, 4 or 8 network pixels.
        max_hands: K, slots of the output.
        channels: C of the shared feature map.
        hidden: width of the heads that run once per hand.
        window_cells: points along each side of the grid that a hand's window is read at.
        color_rank: number of colour patterns that vertex colours are mixed from.

    Raises:
        HandmeshError: a value is out of its range.
    """

    backbone: str = "hand_landmark"
    input_size: int = 256
    stride: int = 8
    max_hands: int = 10
    channels: int = 128
    hidden: int = 512
    window_cells: int = 6
    color_rank: int = 64

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise HandmeshError(
                f"Unknown backbone {self.backbone!r}: choose one of {', '.join(BACKBONES)}."
            )
        if self.stride not in (4, 8):
            raise HandmeshError(f"The network's stride is {self.stride}: it must be 4 or 8.")
        if self.input_size < 64 or self.input_size % 32:
            raise HandmeshError(
                f"The network's input size is {self.input_size}: it must be a multiple of 32, "
                "at least 64."
            )


class HandParameters(NamedTuple):
    """What the heads say of N hands, before the hand model.

    Attributes:
        size: (N,) longer side of the box, network pixels.
        box: (N, 4) x0, y0, x1, y1, network pixels.
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
    """

    size: Tensor
    box: Tensor
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


class HandGeometry(NamedTuple):
    """N hands in the camera frame, metres.

    Attributes:
        joints: (N, 21, 3).
        vertices: (N, V, 3).
        rotations: (N, 16, 3, 3), the wrist's in the camera frame.
        translation: (N, 3), the wrist.
    """

    joints: Tensor
    vertices: Tensor
    rotations: Tensor
    translation: Tensor


def _conv(inputs: int, outputs: int, kernel: int = 3, depthwise: bool = False) -> nn.Sequential:
    """Convolution, batch norm and ReLU; depthwise-separable on demand."""
    layers: list[nn.Module] = []
    if depthwise:
        layers += [
            nn.Conv2d(inputs, inputs, kernel, padding=kernel // 2, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
        ]
        kernel = 1
    layers += [
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(*layers)


def _start_rare(head: nn.Module) -> None:
    """Let a heatmap start at probability 0.01 (Lin et al. 2017, focal loss)."""
    assert isinstance(head, nn.Conv2d) and head.bias is not None
    nn.init.constant_(head.bias, -4.59)


class Neck(nn.Module):
    """Feature pyramid (Lin et al. 2017), coarse to fine, that ends in one map."""

    def __init__(self, inputs: tuple[int, ...], channels: int):
        super().__init__()
        # The trunk's outputs differ in scale: without a norm the fine levels drown the coarse.
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, channels, 1, bias=False), nn.BatchNorm2d(channels))
            for c in inputs
        )
        self.smooth = _conv(channels, channels, kernel=5, depthwise=True)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Merge maps of growing stride into one (B, channels, H, W) of the finest."""
        merged = self.lateral[-1](maps[-1])
        for level in range(len(maps) - 2, -1, -1):
            merged = F.interpolate(merged, scale_factor=2.0, mode="nearest")
            merged = self.lateral[level](maps[level]) + merged
        return self.smooth(merged)


def _mlp(inputs: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.LayerNorm(hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.LayerNorm(hidden),
        nn.ReLU(),
    )


class HandHeads(nn.Module):
    """From the feature maps at a hand's centre, then in its window, to that hand's parameters."""

    grid: Tensor

    def __init__(self, config: NetworkConfig, context: tuple[int, ...], vertex_count: int):
        super().__init__()
        channels, hidden, cells = config.channels, config.hidden, config.window_cells
        self.vertex_count = vertex_count
        self.from_centre = _mlp(channels + sum(context), hidden // 2)
        self.size = nn.Linear(hidden // 2, 1)
        self.box = nn.Linear(hidden // 2, 4)
        self.layout = nn.Linear(context[0], channels // 4)
        read = channels + sum(context) + cells * cells * (channels // 4)
        self.from_window = _mlp(read, hidden)
        self.side = nn.Linear(hidden, 1)
        self.palm = nn.Linear(hidden, 1)
        self.turn = nn.Linear(hidden, 1)
        self.coarse_keypoints = nn.Linear(hidden, 42)
        self.at_keypoint = nn.Linear(channels, channels // 2)
        self.from_keypoints = _mlp(21 * (channels // 2) + 42 + hidden + 1, hidden)
        self.keypoints = nn.Linear(hidden, 42)
        self.rotations = nn.Linear(hidden, 16 * 6)
        self.shape = nn.Linear(hidden, 10)
        self.placement = nn.Linear(hidden, 3)
        self.color_weights = nn.Linear(hidden, config.color_rank)
        self.color_patterns = nn.Linear(config.color_rank, 3 * vertex_count)
        for head in (self.coarse_keypoints, self.keypoints, self.rotations, self.placement):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
        nn.init.normal_(self.color_patterns.weight, std=0.1)
        steps = (torch.arange(cells) + 0.5) / cells - 0.5
        grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
        self.register_buffer("grid", grid.reshape(-1, 2), persistent=False)

    def forward(
        self,
        maps: list[Tensor],
        image: Tensor,
        centre: Tensor,
        stride: int,
        is_right: Tensor | None = None,
        side_logit: Tensor | None = None,
        window: Tensor | None = None,
    ) -> HandParameters:
        """Read N hands off the feature maps.

        Args:
            maps: the shared map (B, C, H, W), then coarser ones.
            image: (N,) index of each hand's image in the batch.
            centre: (N, 2) network pixels.
            stride: of the shared map, network pixels.
            is_right: (N,) 1 for right hands; None to decide it here.
            side_logit: (N,) what the heatmaps say of the side; used when it is decided here.
            window: (N, 3) centre and side of the square to look into, network pixels; None for
                the one around the box found.
        """
        count = centre.shape[0]
        extent = stride * maps[0].shape[3]
        read = [_read(features, image, centre[:, None], extent)[:, 0] for features in maps]
        at_centre = self.from_centre(torch.cat(read, dim=1))  # (N, hidden / 2)
        size = torch.exp(self.size(at_centre)[:, 0].clamp(-3, 3)) * (8.0 * stride)  # (N,)
        # What is measured in sizes must not pull at the size.
        reach = (
            F.softplus(self.box(at_centre)) * size.detach()[:, None]
        )  # left, top, right, bottom
        box = torch.cat([centre - reach[:, :2], centre + reach[:, 2:]], dim=1)
        if window is None:
            window = torch.cat([(box[:, :2] + box[:, 2:]) / 2, WINDOW * size[:, None]], dim=1)
            window = window.detach()
        middle, side = window[:, None, :2], window[:, 2, None, None]

        cells = [_read(features, image, middle + self.grid * side, extent) for features in maps]
        layout = self.layout(cells[1]).flatten(1)
        in_window = self.from_window(torch.cat([*(c.mean(1) for c in cells), layout], dim=1))
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
        colors = self.color_patterns(self.color_weights(hand)).reshape(count, self.vertex_count, 3)
        identity = hand.new_tensor([1.0, 0, 0, 0, 1, 0]).repeat(16)
        return HandParameters(
            size=size,
            box=box,
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


def _read(features: Tensor, image: Tensor, points: Tensor, extent: int) -> Tensor:
    """Read a map bilinearly at network pixels.

    Args:
        features: (B, C, H, W) of a square image.
        image: (N,) index into B.
        points: (N, P, 2) network pixels; whole numbers are pixel centres.
        extent: side of the image, network pixels.

    Returns:
        (N, P, C); zeros outside the image.
    """
    grid = (2 * points + 1) / extent - 1  # grid_sample puts -1 and 1 at the image's corners
    if features.shape[0] == 1:  # the exported graph: all hands read the one image
        read = F.grid_sample(features, grid[None], align_corners=False)  # (1, C, N, P)
        return read[0].permute(1, 2, 0)
    read = F.grid_sample(features[image], grid[:, None], align_corners=False)  # (N, C, 1, P)
    return read[:, :, 0].transpose(1, 2)


def place(
    parameters: HandParameters, is_right: Tensor, intrinsics: Tensor, hand_model: HandModel
) -> HandGeometry:
    """Put N hands into the camera frame.

    The network sees a hand along the ray through its wrist; the rotation of that ray is applied
    here, so that the same picture of a hand means the same numbers anywhere in the image. Depth
    follows from the hand's scale in the image: z = f / scale, f = sqrt(fx fy).

    Args:
        parameters: of the heads.
        is_right: (N,) 1 for right hands.
        intrinsics: (N, 4) fx, fy, cx, cy, network pixels.
        hand_model: the skinned hand.
    """
    focal, principal = intrinsics[:, :2], intrinsics[:, 2:]
    depth = torch.sqrt(focal[:, 0] * focal[:, 1]) / parameters.scale
    ray = (parameters.wrist - principal) / focal  # (N, 2), at z = 1
    translation = torch.cat([ray * depth[:, None], depth[:, None]], dim=1)
    rotations = mirror_rotations(parameters.rotations, is_right)
    wrist = torch.matmul(ray_rotation(ray), rotations[:, 0])
    rotations = torch.cat([wrist[:, None], rotations[:, 1:]], dim=1)
    vertices, joints = hand_model(rotations, parameters.shape, is_right)
    return HandGeometry(
        joints=joints + translation[:, None],
        vertices=vertices + translation[:, None],
        rotations=rotations,
        translation=translation,
    )


def ray_rotation(ray: Tensor) -> Tensor:
    """Return the smallest rotations that turn the optical axis into given rays.

    Rodrigues' formula for the rotation between unit vectors a and b,
    I + [v]ₓ + [v]ₓ² / (1 + a·b) with v = a × b.

    Args:
        ray: (N, 2) x / z and y / z of the ray.

    Returns:
        (N, 3, 3).
    """
    z = torch.rsqrt(1 + (ray * ray).sum(1))
    x, y = ray[:, 0] * z, ray[:, 1] * z
    share = 1 / (1 + z)
    rows = [1 - x * x * share, -x * y * share, x, -x * y * share, 1 - y * y * share, y, -x, -y, z]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def project(points: Tensor, intrinsics: Tensor) -> Tensor:
    """Project camera points through a pinhole.

    Args:
        points: (N, P, 3) metres, camera frame.
        intrinsics: (N, 4) fx, fy, cx, cy, pixels.

    Returns:
        (N, P, 2) pixels; depths below 1 cm count as 1 cm.
    """
    normalised = points[..., :2] / points[..., 2:].clamp(min=0.01)
    return normalised * intrinsics[:, None, :2] + intrinsics[:, None, 2:]


class HandNetwork(nn.Module):
    """The whole network: image and intrinsics in, K hands in the camera frame out.

    Args:
        config: sizes.
        template: the hand model whose mesh it puts out.
    """

    mean: Tensor
    std: Tensor
    cell_centre: Tensor
    cell_side: Tensor

    def __init__(self, config: NetworkConfig, template: HandTemplate):
        super().__init__()
        self.config = config
        self.backbone = BACKBONES[config.backbone]()
        first = 0 if config.stride == 4 else 1
        self.neck = Neck(self.backbone.channels[first:], config.channels)
        self.first_level = first
        self.centre_head = nn.Sequential(
            _conv(config.channels, config.channels // 2, 1), nn.Conv2d(config.channels // 2, 2, 1)
        )
        _start_rare(self.centre_head[1])
        # What the heads read of the trunk's coarser maps. (A norm alone would blow up channels
        # that are nearly always zero, and the gradients through them.)
        context = (config.channels, 2 * config.channels)
        self.context = nn.ModuleList(
            _conv(inputs, outputs, kernel=1)
            for inputs, outputs in zip(self.backbone.channels[2:], context, strict=True)
        )
        # Only trained with, not exported: makes the shared map tell the keypoints apart.
        self.keypoint_head = nn.Conv2d(config.channels, 21, 1)
        _start_rare(self.keypoint_head)
        self.heads = HandHeads(config, context, len(template.template))
        self.hand_model = HandModel(template)
        self.register_buffer("mean", 255 * torch.tensor(self.backbone.mean)[:, None, None], False)
        self.register_buffer("std", 255 * torch.tensor(self.backbone.std)[:, None, None], False)
        self._register_cells()

    def _register_cells(self) -> None:
        """Constant tables cell → centre and side: no integer division in the exported graph."""
        cells = self.config.input_size // self.config.stride
        index = torch.arange(cells * cells)
        x, y = index % cells, torch.div(index, cells, rounding_mode="floor")
        centre = (torch.stack([x, y], dim=1) + 0.5) * self.config.stride - 0.5
        self.register_buffer("cell_centre", centre.repeat(2, 1), persistent=False)
        self.register_buffer(
            "cell_side", torch.arange(2).repeat_interleave(len(index)).float(), persistent=False
        )

    def features(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Compute the dense part.

        Args:
            image: (B, H, W, 3) uint8 RGB.

        Returns:
            centre heatmap logits (B, 2, H / stride, W / stride), left first, and the maps that
            hands are read from: the shared one (B, C, H / stride, W / stride), then the trunk's
            at strides 16 and 32.
        """
        x = image.float().permute(0, 3, 1, 2)  # Cast before Transpose: TensorRT's uint8 rule
        trunk = self.backbone((x - self.mean) / self.std)
        shared = self.neck(trunk[self.first_level :])
        coarse = zip(self.context, trunk[2:], strict=True)
        context = [project(features) for project, features in coarse]
        return self.centre_head(shared), [shared, *context]

    def hands_at(
        self,
        maps: list[Tensor],
        image: Tensor,
        centre: Tensor,
        is_right: Tensor | None = None,
        side_logit: Tensor | None = None,
        window: Tensor | None = None,
    ) -> HandParameters:
        """Read N hands at given centres; arguments as in `HandHeads.forward`."""
        return self.heads(maps, image, centre, self.config.stride, is_right, side_logit, window)

    def peaks(self, heatmaps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Find the K best centres of one image.

        Within a cell's neighbourhood the stronger side wins, so a hand of doubtful side takes one
        slot; hands that hold each other have their centres further apart than that.

        Args:
            heatmaps: (1, 2, H, W) probabilities of a left and a right hand's centre.

        Returns:
            score (K,) probability of a hand of either side, best first; P(right) (K,); centre
            (K, 2) network pixels.
        """
        top = F.max_pool2d(heatmaps.amax(1, keepdim=True), 3, stride=1, padding=1)
        peaks = heatmaps * (heatmaps >= top).float()
        own, index = torch.topk(peaks.flatten(), self.config.max_hands)
        both = heatmaps.reshape(2, -1)
        both = torch.cat([both, both.flip(0)], dim=1)  # (2, 2HW): row 0 own side, row 1 other
        other = both[1][index]
        score, order = torch.topk(torch.clamp(own + other, max=1.0), self.config.max_hands)
        index, share = index[order], (own / (own + other + 1e-6))[order]
        is_right = self.cell_side[index]
        return score, is_right * share + (1 - is_right) * (1 - share), self.cell_centre[index]

    def forward(self, image: Tensor, intrinsics: Tensor) -> dict[str, Tensor]:
        """Find the hands of one image: the graph that is exported.

        Args:
            image: (1, S, S, 3) uint8 RGB, letterboxed.
            intrinsics: (1, 4) float32 fx, fy, cx, cy, network pixels.

        Returns:
            K slots, best first: score (K,), handedness (K,) P(right), centre (K, 2), box (K, 4),
            joints_2d (K, 21, 2), all in network pixels; joints (K, 21, 3), vertices (K, V, 3),
            translation (K, 3) in camera metres; rotations (K, 16, 3, 3), shape (K, 10),
            colors (K, V, 3) in [0, 1].
        """
        heatmap_logits, maps = self.features(image)
        score, right, centre = self.peaks(torch.sigmoid(heatmap_logits))
        first_image = torch.zeros_like(score, dtype=torch.long)
        found = self.hands_at(maps, first_image, centre, side_logit=torch.logit(right, 1e-4))
        hands = place(found, found.is_right, intrinsics.expand(len(centre), 4), self.hand_model)
        return {
            "score": score,
            "handedness": torch.sigmoid(found.side_logit),
            "centre": centre,
            "box": found.box,
            "joints_2d": found.keypoints,
            "joints": hands.joints,
            "vertices": hands.vertices,
            "rotations": hands.rotations,
            "shape": found.shape,
            "translation": hands.translation,
            "colors": found.colors,
        }

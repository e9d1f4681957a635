"""The single-stage hand network, top to bottom.

One trunk, one shared feature map at stride 8, one pair of centre heatmaps (left, right). At the K
best peaks the maps are read: at the centre, which gives the hand's box; on a grid over that box,
which gives side and coarse keypoints; and at these keypoints. Small heads turn what was read
into keypoints, colours and a first guess of pose, shape and placement; a lifter corrects the guess
until its joints are seen at the keypoints, and the skinned hand model turns it into a mesh in the
camera frame. All of it is one graph.

After Ren, Zhu and Zhang, "End-to-end Weakly-supervised Single-stage Multiple 3D Hand Mesh
Reconstruction from a Single RGB Image" (CVIU 2023), with the changes listed in ARCHITECTURE.md.

Shapes: B images, K slots per image, N hands in a flat list, C feature channels, V vertices.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handmesh_ros.hand.model import HandModel
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.backbone import BACKBONES
from handmesh_ros.network.config import NetworkConfig
from handmesh_ros.network.heads import (
    BoxHead,
    HandBoxes,
    HandHeads,
    HandParameters,
    WindowReader,
    box_windows,
)
from handmesh_ros.network.layers import conv
from handmesh_ros.network.lifting import PoseLifter
from handmesh_ros.network.placement import place


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
        self.smooth = conv(channels, channels, kernel=5, depthwise=True)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Merge maps of growing stride into one (B, channels, H, W) of the finest."""
        merged = self.lateral[-1](maps[-1])
        for level in range(len(maps) - 2, -1, -1):
            merged = F.interpolate(merged, scale_factor=2.0, mode="nearest")
            merged = self.lateral[level](maps[level]) + merged
        return self.smooth(merged)


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
            conv(config.channels, config.channels // 2, 1), nn.Conv2d(config.channels // 2, 2, 1)
        )
        _start_rare(self.centre_head[1])
        # What the heads read of the trunk's coarser maps. (A norm alone would blow up channels
        # that are nearly always zero, and the gradients through them.)
        context = (config.channels, 2 * config.channels)
        self.context = nn.ModuleList(
            conv(inputs, outputs, kernel=1)
            for inputs, outputs in zip(self.backbone.channels[2:], context, strict=True)
        )
        # Only trained with, not exported: makes the shared map tell the keypoints apart.
        self.keypoint_head = nn.Conv2d(config.channels, 21, 1)
        _start_rare(self.keypoint_head)
        self.reader = WindowReader(config, context)
        self.box_head = BoxHead(config, context, self.reader.outputs)
        self.heads = HandHeads(config, self.reader.outputs, len(template.template))
        self.hand_model = HandModel(template)
        self.lifter = PoseLifter(config.hidden, config.lifter_hidden, self.hand_model)
        self.register_buffer("mean", 255 * torch.tensor(self.backbone.mean)[:, None, None], False)
        self.register_buffer("std", 255 * torch.tensor(self.backbone.std)[:, None, None], False)
        self._register_cells()

    def _register_cells(self) -> None:
        """Constant tables cell → centre and side: no integer division in the exported graph."""
        rows, columns = (pixels // self.config.stride for pixels in self.config.input_shape)
        index = torch.arange(rows * columns)
        x, y = index % columns, torch.div(index, columns, rounding_mode="floor")
        centre = (torch.stack([x, y], dim=1) + 0.5) * self.config.stride - 0.5
        self.register_buffer("cell_centre", centre.repeat(2, 1), persistent=False)
        self.register_buffer(
            "cell_side", torch.arange(2).repeat_interleave(len(index)).float(), persistent=False
        )

    def features(self, image: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Compute the dense part.

        Args:
            image: (B, H, W, 3) uint8 RGB.

        Returns:
            centre heatmap logits (B, 2, H / stride, W / stride), left first, and the maps that
            hands are read from: the shared one (B, C, H / stride, W / stride), then the trunk's
            at strides 16 and 32, and the image at low resolution (B, 3, H / 4, W / 4), RGB in
            [0, 1].
        """
        x = image.float().permute(0, 3, 1, 2)  # Cast before Transpose: TensorRT's uint8 rule
        trunk = self.backbone((x - self.mean) / self.std)
        shared = self.neck(trunk[self.first_level :])
        coarse = zip(self.context, trunk[2:], strict=True)
        context = [project(features) for project, features in coarse]
        low_res_image = F.avg_pool2d(x, 4) / 255
        return self.centre_head(shared), [shared, *context], low_res_image

    def boxes_at(
        self, maps: list[Tensor], image: Tensor, centre: Tensor, window: Tensor | None = None
    ) -> HandBoxes:
        """Find the boxes of N hands at given centres; arguments as in `BoxHead.forward`."""
        return self.box_head(self.reader, maps, image, centre, self.config.stride, window)

    def hands_in(
        self,
        maps: list[Tensor],
        low_res_image: Tensor,
        image: Tensor,
        window: Tensor,
        is_right: Tensor | None = None,
        side_logit: Tensor | None = None,
    ) -> HandParameters:
        """Read N hands in given windows, first guess; arguments as in `HandHeads.forward`."""
        stride = self.config.stride
        return self.heads(
            self.reader, maps, low_res_image, image, window, stride, is_right, side_logit
        )

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
            image: (1, H, W, 3) uint8 RGB, letterboxed, of `NetworkConfig.input_shape`.
            intrinsics: (1, 4) float32 fx, fy, cx, cy, network pixels.

        Returns:
            K slots, best first: score (K,), handedness (K,) P(right), centre (K, 2), box (K, 4),
            joints_2d (K, 21, 2), all in network pixels; joints (K, 21, 3), vertices (K, V, 3),
            translation (K, 3) in camera metres; rotations (K, 16, 3, 3), shape (K, 10),
            colors (K, V, 3) in [0, 1].
        """
        heatmap_logits, maps, low_res_image = self.features(image)
        score, right, centre = self.peaks(torch.sigmoid(heatmap_logits))
        first_image = torch.zeros_like(score, dtype=torch.long)
        boxes = self.boxes_at(maps, first_image, centre)
        score = torch.sqrt(score * torch.sigmoid(boxes.quality_logit))
        score, order = torch.topk(score, self.config.max_hands)
        right, centre, box = right[order], centre[order], boxes.box[order]
        side_logit = torch.logit(right, 1e-4)
        windows = box_windows(box)
        found = self.hands_in(maps, low_res_image, first_image, windows, side_logit=side_logit)
        cameras = intrinsics.expand(len(centre), 4)
        found = self.lifter(found, cameras)
        hands = place(found, found.is_right, cameras, self.hand_model)
        return {
            "score": score,
            "handedness": torch.sigmoid(found.side_logit),
            "centre": centre,
            "box": box,
            "joints_2d": found.keypoints,
            "joints": hands.joints,
            "vertices": hands.vertices,
            "rotations": hands.rotations,
            "shape": found.shape,
            "translation": hands.translation,
            "colors": found.colors,
        }

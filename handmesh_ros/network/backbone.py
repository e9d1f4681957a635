"""The feature trunks, written out with their published layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from handmesh_ros.errors import HandmeshError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# kernel, stride, expanded channels, output channels of each block of MediaPipe's hand landmark
# network (full, 2021), read off its published graph: the layout of EfficientNet without
# squeeze-and-excitation. The first block is a depthwise convolution and a projection.
_LANDMARK_BLOCKS = (
    (3, 2, 64, 24),
    (3, 1, 144, 24),
    (5, 2, 144, 40),
    (5, 1, 240, 40),
    (3, 2, 240, 80),
    (3, 1, 480, 80),
    (3, 1, 480, 80),
    (5, 1, 480, 112),
    (5, 1, 672, 112),
    (5, 1, 672, 112),
    (5, 2, 672, 192),
    (5, 1, 1152, 192),
    (5, 1, 1152, 192),
    (5, 1, 1152, 192),
)
LANDMARK_WEIGHTS = Path(__file__).resolve().parent.parent.parent / "weights" / "hand_trunk.npz"


class SameConv(nn.Sequential):
    """Convolution with a bias, padded as TensorFlow's SAME does, and ReLU6 unless linear."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ):
        layers: list[nn.Module] = []
        if stride == 2:
            before, after = (kernel - 2) // 2, (kernel - 1) // 2
            layers.append(nn.ZeroPad2d((before, after, before, after)))
        padding = kernel // 2 if stride == 1 else 0
        layers.append(nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups))
        if not linear:
            layers.append(nn.ReLU6(inplace=True))
        super().__init__(*layers)


class LandmarkBlock(nn.Sequential):
    """Expand 1×1, depthwise k×k, project 1×1, with a shortcut where the shapes allow it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, hidden: int):
        super().__init__(
            SameConv(inputs, hidden, 1),
            SameConv(hidden, hidden, kernel, stride, groups=hidden),
            SameConv(hidden, outputs, 1, linear=True),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        y = super().forward(x)
        return x + y if self.shortcut else y


class HandLandmarkTrunk(nn.Module):
    """Trunk of MediaPipe's hand landmark network; features at strides 4, 8, 16 and 32.

    It has no batch norms: they were folded into the published weights.
    """

    channels = (24, 40, 112, 1152)
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            SameConv(3, 24, 3, 2), SameConv(24, 24, 3, groups=24), SameConv(24, 16, 1, linear=True)
        )
        blocks, channels = [], 16
        for kernel, stride, hidden, outputs in _LANDMARK_BLOCKS:
            blocks.append(LandmarkBlock(channels, outputs, kernel, stride, hidden))
            channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.top = nn.Sequential(SameConv(192, 1152, 1), SameConv(1152, 1152, 3, groups=1152))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # without norms the scale has to be right at first
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (B, 3, H, W) to four maps (B, channels[i], H / 2^(i+2), W / 2^(i+2))."""
        x = self.stem(x)
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in (1, 3, 9):
                maps.append(x)
        return [*maps, self.top(x)]

    def stage_modules(self) -> list[nn.Module]:
        """Return the trunk in pieces: the stem, then up to strides 4, 8, 16 and 32."""
        ends = (0, 2, 4, 10)
        pieces: list[nn.Module] = [self.blocks[a:b] for a, b in zip(ends, ends[1:], strict=False)]
        return [self.stem, *pieces, nn.Sequential(*self.blocks[10:], self.top)]

    def load_pretrained(self) -> None:
        """Load the published weights, as `scripts/convert_hand_landmark.py` wrote them.

        Raises:
            HandmeshError: they are not there.
        """
        published = _published_weights()
        convolutions = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        for index, convolution in enumerate(convolutions):
            for name in ("weight", "bias"):
                getattr(convolution, name).data.copy_(published[f"{name}{index}"])


LANDMARK_HEADS = {"side": 1, "presence": 1, "landmarks": 63, "world": 63}
"""The linear heads of MediaPipe's hand landmark network, in the order of its graph, and what they
put out of the trunk's pooled last map."""


def read_landmark_heads() -> dict[str, tuple[Tensor, Tensor]]:
    """Return weight (outputs, 1152) and bias (outputs,) of each of `LANDMARK_HEADS`.

    Raises:
        HandmeshError: the published weights are not there.
    """
    published = _published_weights()
    return {
        name: (published[f"{name}_weight"], published[f"{name}_bias"]) for name in LANDMARK_HEADS
    }


def _published_weights() -> dict[str, Tensor]:
    if not LANDMARK_WEIGHTS.exists():
        raise HandmeshError(
            f"The trunk's weights {LANDMARK_WEIGHTS} are not there: train in a checkout of "
            "the repository, or set `pretrained: false`."
        )
    with np.load(LANDMARK_WEIGHTS) as stored:
        return {
            name: torch.from_numpy(values.astype(np.float32)) for name, values in stored.items()
        }


class Bottleneck(nn.Module):
    """ResNet's 1×1, 3×3, 1×1 block (He et al. 2016), stride in the 3×3."""

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        outputs = 4 * width
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, 4 width, H / stride, W / stride)."""
        return torch.relu(self.layers(x) + self.shortcut(x))


class ResNet50(nn.Module):
    """ResNet-50 without its classifier; features at strides 4, 8, 16 and 32."""

    channels = (256, 512, 1024, 2048)
    mean, std = IMAGENET_MEAN, IMAGENET_STD

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        )
        stages, channels = [], 64
        for width, stride, repeats in ((64, 1, 3), (128, 2, 4), (256, 2, 6), (512, 2, 3)):
            blocks = []
            for repeat in range(repeats):
                blocks.append(Bottleneck(channels, width, stride if repeat == 0 else 1))
                channels = 4 * width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (B, 3, H, W) to four maps (B, channels[i], H / 2^(i+2), W / 2^(i+2))."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def stage_modules(self) -> list[nn.Module]:
        """Return the trunk in five pieces: the stem, then up to strides 4, 8, 16 and 32."""
        return [self.stem, *self.stages]

    def load_pretrained(self) -> None:
        """Refuse: no ImageNet weights of ResNet-50 come with an installable package.

        Raises:
            HandmeshError: always.
        """
        raise HandmeshError(
            "No package brings ImageNet weights for resnet50: set `pretrained: false`, or start "
            "from a checkpoint with `start_from`."
        )


BACKBONES: dict[str, type[HandLandmarkTrunk] | type[ResNet50]] = {
    "hand_landmark": HandLandmarkTrunk,
    "resnet50": ResNet50,
}

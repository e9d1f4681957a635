"""Layers that several parts of the network are made of."""

from __future__ import annotations

from torch import nn


def conv(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    *,
    depthwise: bool = False,
    stride: int = 1,
    norm: bool = True,
) -> nn.Sequential:
    """Convolution, batch norm and ReLU.

    Args:
        inputs: channels.
        outputs: channels.
        kernel: side.
        depthwise: separable: each channel on its own, then all channels at each place.
        stride: of the first convolution.
        norm: without, there are biases instead of batch norms: for what is computed on windows of
            several kinds, whose statistics differ between training and use.
    """

    def layer(channels: int, side: int, step: int, groups: int) -> list[nn.Module]:
        pad = side // 2
        found = nn.Conv2d(inputs, channels, side, step, pad, groups=groups, bias=not norm)
        return [found, nn.BatchNorm2d(channels)] if norm else [found]

    layers = layer(inputs, kernel, stride, inputs) if depthwise else []
    layers += layer(outputs, 1, 1, 1) if depthwise else layer(outputs, kernel, stride, 1)
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


def mlp(inputs: int, hidden: int, layers: int = 2) -> nn.Sequential:
    """Linear layers, each with layer norm and ReLU."""
    sizes = [inputs, *[hidden] * layers]
    parts: list[nn.Module] = []
    for size in sizes[:-1]:
        parts += [nn.Linear(size, hidden), nn.LayerNorm(hidden), nn.ReLU()]
    return nn.Sequential(*parts)

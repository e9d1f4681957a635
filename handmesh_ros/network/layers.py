"""Layers that several parts of the network are made of."""

from __future__ import annotations

from torch import nn


def conv(
    inputs: int, outputs: int, kernel: int = 3, depthwise: bool = False, stride: int = 1
) -> nn.Sequential:
    """Convolution, batch norm and ReLU; depthwise-separable on demand."""
    layers: list[nn.Module] = []
    if depthwise:
        layers += [
            nn.Conv2d(
                inputs, inputs, kernel, stride, padding=kernel // 2, groups=inputs, bias=False
            ),
            nn.BatchNorm2d(inputs),
        ]
        kernel = stride = 1
    layers += [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(*layers)


def mlp(inputs: int, hidden: int, layers: int = 2) -> nn.Sequential:
    """Linear layers, each with layer norm and ReLU."""
    sizes = [inputs, *[hidden] * layers]
    parts: list[nn.Module] = []
    for size in sizes[:-1]:
        parts += [nn.Linear(size, hidden), nn.LayerNorm(hidden), nn.ReLU()]
    return nn.Sequential(*parts)

"""Float16 where it saves time, float32 where it would cost accuracy, as casts in the graph."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from handmesh_ros.network.heads import WindowReader


class Float16(nn.Module):
    """Runs a module in float16; what goes in and what comes out is float32.

    Args:
        module: its parameters and buffers are converted in place.
    """

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module.half()

    def forward(self, *inputs: Any) -> Any:
        """Run the module; tensors may stand in lists and tuples."""
        return _cast(self.module(*_cast(inputs, torch.float16)), torch.float32)


def with_float16(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose convolutions and per-hand blocks run in float16.

    Every module that contains convolutions (trunk, neck, heatmap head) and every `Sequential` (the
    heads' hidden layers) is converted as a whole. The heads' last linear layers, peaks, reading of
    the maps, rotations, skinning and the camera stay in float32: half a thousandth of a hand's
    distance, which is float16's step, would be millimetres.
    """
    network = copy.deepcopy(network)
    _convert_children(network)
    return network


def _convert_children(module: nn.Module) -> None:
    for name, child in module.named_children():
        convolves = any(isinstance(part, nn.Conv2d) for part in child.modules())
        # A list has no forward to wrap; the reader has convolutions, but reads maps, too.
        in_parts = isinstance(child, (nn.ModuleList, WindowReader))
        if not in_parts and (convolves or isinstance(child, nn.Sequential)):
            setattr(module, name, Float16(child))
        else:
            _convert_children(child)


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, (list, tuple)):
        return [_cast(item, dtype) for item in value]
    return value.to(dtype) if value.is_floating_point() else value

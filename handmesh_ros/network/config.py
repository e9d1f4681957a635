"""Sizes of the network."""

from __future__ import annotations

from dataclasses import dataclass

from handmesh_ros.errors import HandmeshError
from handmesh_ros.network.backbone import BACKBONES

_LEAST = {
    "max_hands": 1, "channels": 8, "hidden": 8, "lifter_hidden": 8, "window_cells": 2,
    "fine_cells": 2, "color_rank": 1,
}  # fmt: skip


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network.

    Args:
        backbone: "hand_landmark" or "resnet50".
        input_size: width of the input image, pixels, a multiple of 32.
        input_height: its height, likewise; 0 for a square image, as all are in training.
        stride: of the shared feature map and the centre heatmaps, 4 or 8 network pixels.
        max_hands: K, slots of the output.
        channels: C of the shared feature map.
        hidden: width of the heads that run once per hand.
        lifter_hidden: width of the lifter, that corrects pose and place.
        window_cells: points along each side of the coarse grid that a hand's window is read at.
        fine_cells: the same of the fine grid.
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
    lifter_hidden: int = 512
    window_cells: int = 6
    fine_cells: int = 8
    color_rank: int = 64
    input_height: int = 0

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise HandmeshError(
                f"Unknown backbone {self.backbone!r}: choose one of {', '.join(BACKBONES)}."
            )
        if self.stride not in (4, 8):
            raise HandmeshError(f"The network's stride is {self.stride}: it must be 4 or 8.")
        for pixels in self.input_shape:
            if pixels < 64 or pixels % 32:
                raise HandmeshError(
                    f"The network's input size is {pixels}: it must be a multiple of 32, at "
                    "least 64."
                )
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise HandmeshError(
                    f"The network's {name} is {getattr(self, name)}: it must be {least} or more."
                )
        height, width = self.input_shape
        cells = (height // self.stride) * (width // self.stride)
        if self.max_hands > cells:
            raise HandmeshError(
                f"The network's max_hands is {self.max_hands}: its map has {cells} cells, so give "
                "no more than that."
            )

    @property
    def input_shape(self) -> tuple[int, int]:
        """Height and width of the input image, pixels."""
        return self.input_height or self.input_size, self.input_size

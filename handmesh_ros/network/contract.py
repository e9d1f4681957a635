"""Words that sidecars and checkpoints share; free of torch."""

from __future__ import annotations

IMAGE, CROPS = "image", "crops"
"""What a graph takes: a whole image, or a batch of crops that show one hand each."""

TAKEN = {IMAGE: "whole images", CROPS: "crops of hands"}
"""The same, for sentences."""

PRECISIONS = ("float32", "float16")
"""Of the convolutions of a graph that `handmesh export` writes."""

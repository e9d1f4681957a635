"""What `handmesh export` and `handmesh quantize` can be told; free of torch and onnx."""

from __future__ import annotations

OPSETS = (17, 18)
"""Operator sets that `handmesh export` writes; the exporter itself writes the last one."""

SENSITIVE = 0.01
"""A convolution that alone moves keypoints by more than this share of a hand's size stays float32.

In the bundled network those are the first ones of the trunk, whose channels differ most in range.
"""

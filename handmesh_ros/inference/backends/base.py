"""What runs the graph: one small protocol, one module per runtime library."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import KEYPOINT_NAMES, MODEL_JOINT_NAMES
from handmesh_ros.inference.sidecar import Sidecar
from handmesh_ros.network.contract import CROPS, TAKEN

SHAPE_COUNT = 10


class Backend(Protocol):
    """Runs one graph.

    Attributes:
        name: library, device and threads, such as "ONNX Runtime 1.20 on CPU, 2 threads".
        sidecar: the description of the graph.
    """

    name: str
    sidecar: Sidecar

    def infer(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run the graph once.

        Args:
            inputs: as `input_shapes` says, in its order; not kept and not changed. Of a graph that
                takes an image, [1, H, W, 3] uint8 RGB, letterboxed, and [1, 4] float32 fx, fy, cx,
                cy in its pixels. Of one that takes crops, [N, H, W, 3] uint8 RGB, [N, 2, 3]
                float32 similarities from crop pixels to image pixels, and [N, 4] float32 fx, fy,
                cx, cy in image pixels; N is 1 or more.

        Returns:
            The outputs by name, as `output_shapes` says, float32; the next call may overwrite
            them.
        """

    def close(self) -> None:
        """Free the memory of the graph; the backend cannot be used afterwards."""


def read_graph(path: Path) -> tuple[Sidecar, bytes]:
    """Read NAME.onnx and its sidecar NAME.json and check that they belong together.

    Raises:
        HandmeshError: one is missing, damaged, or does not fit the other or this version.
    """
    sidecar = Sidecar.read(path.with_suffix(".json"))
    try:
        graph = path.read_bytes()
    except OSError as error:
        raise HandmeshError(
            f"Cannot read the model {path} ({error.strerror}): check the path and its rights."
        ) from error
    if _is_text(graph):
        raise HandmeshError(
            f"{path} is empty or a text file, no ONNX graph: copy the model again, or run "
            "`git lfs pull` where it came from a repository."
        )
    sidecar.check_graph(graph, path)
    return sidecar, graph


def input_shapes(sidecar: Sidecar) -> dict[str, tuple[int, ...]]:
    """Return the shape of every input of the graph that `sidecar` describes, in its order.

    Of crops, the shapes are those of the largest batch.
    """
    height, width = sidecar.input_size
    if sidecar.takes == CROPS:
        count = sidecar.max_hands
        return {
            "crops": (count, height, width, 3),
            "to_image": (count, 2, 3),
            "intrinsics": (count, 4),
        }
    return {"image": (1, height, width, 3), "intrinsics": (1, 4)}


def trial_inputs(sidecar: Sidecar) -> tuple[np.ndarray, ...]:
    """Return inputs of noise, to run a graph on once or to time it: one image, or two crops."""
    height, width = sidecar.input_size
    count = 2 if sidecar.takes == CROPS else 1
    pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    camera = np.array([[width, width, width / 2, height / 2]] * count, np.float32)
    if sidecar.takes == CROPS:
        return pixels, np.repeat(np.eye(2, 3, dtype=np.float32)[None], count, axis=0), camera
    return pixels, camera


def output_shapes(sidecar: Sidecar) -> dict[str, tuple[int, ...]]:
    """Return the shape of every output of the graph that `sidecar` describes.

    Of crops, the shapes are those of the largest batch.
    """
    slots, vertices = sidecar.max_hands, sidecar.hand_model.vertices
    keypoints = len(KEYPOINT_NAMES)
    shapes = {
        "score": (slots,),
        "handedness": (slots,),
        "centre": (slots, 2),
        "box": (slots, 4),
        "joints_2d": (slots, keypoints, 2),
        "joints": (slots, keypoints, 3),
        "vertices": (slots, vertices, 3),
        "rotations": (slots, len(MODEL_JOINT_NAMES), 3, 3),
        "shape": (slots, SHAPE_COUNT),
        "translation": (slots, 3),
        "colors": (slots, vertices, 3),
    }
    if sidecar.takes == CROPS:
        shapes["keypoint_scores"] = (slots, keypoints)
    return shapes


def check_interface(
    path: Path,
    sidecar: Sidecar,
    inputs: dict[str, tuple[int | str | None, ...]],
    outputs: dict[str, tuple[int | str | None, ...]],
) -> None:
    """Check a graph's inputs and outputs (name → shape) against its sidecar.

    Dimensions that the graph leaves open (None or a name) pass.

    Raises:
        HandmeshError: an input or output is missing or has another shape.
    """
    if ("crops" in inputs) != (sidecar.takes == CROPS):
        raise HandmeshError(
            f"The sidecar of {path} says that it takes {TAKEN[sidecar.takes]}, but it does not: "
            "export the model again with `handmesh export`."
        )
    for kind, found, expected in (
        ("input", inputs, input_shapes(sidecar)),
        ("output", outputs, output_shapes(sidecar)),
    ):
        for name, shape in expected.items():
            if name not in found or not _matches(found[name], shape):
                state = f"shape {list(found[name])}" if name in found else "no such tensor"
                raise HandmeshError(
                    f"The {kind} `{name}` of {path} should have shape {list(shape)} but has "
                    f"{state}: export the model again with `handmesh export`."
                )
        if kind == "input" and set(found) != set(expected):
            raise HandmeshError(
                f"{path} wants the inputs {sorted(found)}, the runtime gives "
                f"{sorted(expected)}: export the model again with `handmesh export`."
            )


def _is_text(content: bytes) -> bool:
    """Return whether a file is empty or text; a graph begins with control characters."""
    try:
        start = content[:64].decode("ascii")
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter.isspace() for letter in start)


def _matches(found: tuple[int | str | None, ...], expected: tuple[int, ...]) -> bool:
    return len(found) == len(expected) and all(
        length == wanted
        for length, wanted in zip(found, expected, strict=True)
        if isinstance(length, int)
    )

"""`Hands`: the one array type that goes from the runtime to messages, drawings and files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.columns import make_table
from handmesh_ros.hand.conventions import LEFT, RIGHT, SIDES

if TYPE_CHECKING:
    import pyarrow


class ScaleSource(IntEnum):
    """Where the metric size of a hand, and with it its distance, comes from."""

    ASSUMED = 0
    CALIBRATED = 1
    DEPTH = 2


@dataclass(frozen=True)
class Hands:
    """N hands of one image as parallel arrays, best score first.

    Attributes:
        score: (N,) float32 in [0, 1], confidence that this is a hand.
        right_probability: (N,) float32 in [0, 1], P(right hand).
        box: (N, 4) float32 x0, y0, x1, y1, pixels of the source image; may reach beyond it.
        keypoints_2d: (N, 21, 2) float32, pixels of the source image.
        joints: (N, 21, 3) float32, metres, camera optical frame.
        vertices: (N, V, 3) float32, metres, camera optical frame.
        rotations: (N, 16, 3, 3) float32; the wrist's in the camera frame, the others relative to
            the parent joint, model joint order.
        shape: (N, B) float32 shape coefficients of the hand model.
        translation: (N, 3) float32, wrist in the camera optical frame, metres.
        colors: (N, V, 3) float32 in [0, 1], sRGB, per vertex.
        scale_source: (N,) uint8, values of `ScaleSource`.
        keypoint_scores: (N, 21) float32 in [0, 1], confidence of each of `keypoints_2d`; ones
            where the reading has none. None stands for ones.
        refined: (N,) bool, the hand was read off its own crop by the refinement network; else off
            the whole image by the single-stage network. None stands for False.

    Raises:
        ValueError: a field does not have its shape.
    """

    score: np.ndarray
    right_probability: np.ndarray
    box: np.ndarray
    keypoints_2d: np.ndarray
    joints: np.ndarray
    vertices: np.ndarray
    rotations: np.ndarray
    shape: np.ndarray
    translation: np.ndarray
    colors: np.ndarray
    scale_source: np.ndarray
    keypoint_scores: np.ndarray = None  # type: ignore[assignment]
    refined: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        count, vertex_count = len(self.score), self.vertices.shape[1]
        if self.keypoint_scores is None:
            object.__setattr__(self, "keypoint_scores", np.ones((count, 21), np.float32))
        if self.refined is None:
            object.__setattr__(self, "refined", np.zeros(count, bool))
        expected = {
            "score": (count,),
            "right_probability": (count,),
            "box": (count, 4),
            "keypoints_2d": (count, 21, 2),
            "joints": (count, 21, 3),
            "vertices": (count, vertex_count, 3),
            "rotations": (count, 16, 3, 3),
            "shape": (count, self.shape.shape[-1]),
            "translation": (count, 3),
            "colors": (count, vertex_count, 3),
            "scale_source": (count,),
            "keypoint_scores": (count, 21),
            "refined": (count,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"Hands.{name} has shape {getattr(self, name).shape}, expected {shape}"
                )

    @classmethod
    def empty(cls, vertex_count: int = 778, shape_count: int = 10) -> Hands:
        """Return no hands, with fields of the right shapes."""
        return cls(
            score=np.zeros(0, np.float32),
            right_probability=np.zeros(0, np.float32),
            box=np.zeros((0, 4), np.float32),
            keypoints_2d=np.zeros((0, 21, 2), np.float32),
            joints=np.zeros((0, 21, 3), np.float32),
            vertices=np.zeros((0, vertex_count, 3), np.float32),
            rotations=np.zeros((0, 16, 3, 3), np.float32),
            shape=np.zeros((0, shape_count), np.float32),
            translation=np.zeros((0, 3), np.float32),
            colors=np.zeros((0, vertex_count, 3), np.float32),
            scale_source=np.zeros(0, np.uint8),
        )

    @classmethod
    def joined(cls, parts: Sequence[Hands]) -> Hands:
        """Return the hands of all parts, at least one, in their order."""
        return cls(
            **{
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in vars(parts[0])
            }
        )

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, index: int | slice | np.ndarray | list[int]) -> Hands:
        """Return the chosen hands; an integer keeps the leading axis, so that N is 1."""
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f"hand {index} of {len(self)}")
            index = [int(index)]
        return Hands(**{name: values[index] for name, values in vars(self).items()})

    def __iter__(self) -> Iterator[Hands]:
        return (self[i] for i in range(len(self)))

    def replace(self, **changes: np.ndarray) -> Hands:
        """Return a copy with some fields replaced."""
        return replace(self, **changes)

    @property
    def handedness(self) -> np.ndarray:
        """(N,) uint8, LEFT or RIGHT, the likelier side."""
        return np.where(self.right_probability >= 0.5, RIGHT, LEFT).astype(np.uint8)

    @property
    def handedness_score(self) -> np.ndarray:
        """(N,) float32 in [0.5, 1], probability of the side given by `handedness`."""
        return np.maximum(self.right_probability, 1.0 - self.right_probability)

    def to_table(self, *, with_mesh: bool = False, **more: Any) -> pyarrow.Table:
        """Return the hands as an Arrow table with one row each; `.to_pandas()` makes a DataFrame.

        Names, types and units are those of `hand/columns.COLUMNS` and docs/json.md.

        Args:
            with_mesh: also `vertices` and `colors`.
            more: further columns, such as `path`, `frame`, `time_s` or `track_id`: one value for
                all hands, or N.

        Raises:
            HandmeshError: pyarrow is missing, or a further column does not exist or does not fit.
        """
        names = ["score", "box", "keypoints_2d", "joints", "refined", "keypoint_scores"]
        names += ["rotations", "shape", "translation"]
        if with_mesh:
            names += ["vertices", "colors"]
        columns = {name: getattr(self, name) for name in names}
        columns["handedness"] = [SIDES[side] for side in self.handedness]
        columns["handedness_score"] = self.handedness_score
        columns["scale_source"] = [ScaleSource(value).name.lower() for value in self.scale_source]
        if twice := sorted(columns.keys() & more.keys()):
            raise HandmeshError(f"A table of hands has {', '.join(twice)} already: leave it out.")
        return make_table(more | columns, len(self))


class State(IntEnum):
    """How a pose is known; the values are those of HandMesh.msg."""

    TRACKED = 0
    PREDICTED = 1
    LOST = 2

"""`HandTemplate`: the arrays of a hand model, the bundled one or a user's MANO (numpy only)."""

from __future__ import annotations

import hashlib
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import LEFT, MODEL_PARENTS, RIGHT

ASSETS = Path(__file__).resolve().parent.parent / "assets"


def _nothing() -> np.ndarray:
    """Return the value of an array field that a model lacks."""
    return np.zeros(0, np.float32)


@dataclass(frozen=True)
class HandTemplate:
    """A right hand's mesh, skeleton, skinning weights and shape space.

    V vertices, F faces, J joints: the 16 of `conventions.MODEL_JOINT_NAMES` and, in the render
    model, the forearm as the 17th, a child of the wrist that turns about it. Metres, MANO-like
    axes: fingers along -x, palm towards -y. Vertices and joints are linear in the shape
    coefficients; pose zero is the flat hand. Array fields that a model lacks are empty.

    Attributes:
        name: short name, written into sidecars and messages.
        sha256: hash of the file that the model was read from.
        template: (V, 3) float32 vertices of the mean shape.
        faces: (F, 3) int32, counter-clockwise seen from outside.
        cap_faces: (C, 3) int32 that close the wrist (or the forearm's end).
        shape_dirs: (V, 3, B) float32, metres per shape coefficient of one.
        weights: (V, J) float32, rows sum to one.
        joint_regressor: (16, V) float32, joints from the vertices of the unposed hand.
        joint_template: (16, 3) float32 joints of the mean shape.
        joint_shape_dirs: (16, 3, B) float32 the same for the joints.
        fingertips: (5,) int32 vertices, thumb to little finger.
        parents: (J,) int32, -1 for the wrist.
        mean_pose: (15, 3) float32 axis-angle of a relaxed hand; informational.
        flexion_axes: (15, 3) float32 unit axes about which positive angles close each joint of
            the right hand, in the flat hand's frame, which is every joint's own at pose zero.
        pose_dirs: (V, 3, 135) float32 corrections per entry of (rotations[1:] - identity), row by
            row; MANO has them, the open hand has none.
        skin_regions: (V, K) float32 masks in [0, 1] for painting skin.
        skin_region_names: K names.
        uv: (U, 2) float32 on MakeHuman's body sheet, v upwards.
        uv_faces: (F, 3) int32 indices into `uv`.
        hand_uv_window: (3,) corner u, v and size of the right hand's square on that sheet.
        hand_vertex_count: vertices that belong to the hand; the forearm's follow them.
        hand_face_count: faces that belong to the hand; the forearm's follow them.
        render_vertex: (V,) int32 main vertex of the render model under each vertex.
        render_triangle: (V, 3) int32 vertices of the render model's face under each vertex.
        render_barycentric: (V, 3) float32 coordinates in that face.
    """

    name: str
    sha256: str
    template: np.ndarray
    faces: np.ndarray
    cap_faces: np.ndarray
    shape_dirs: np.ndarray
    weights: np.ndarray
    joint_regressor: np.ndarray
    joint_template: np.ndarray
    joint_shape_dirs: np.ndarray
    fingertips: np.ndarray
    parents: np.ndarray
    mean_pose: np.ndarray
    flexion_axes: np.ndarray = field(default_factory=_nothing)
    pose_dirs: np.ndarray = field(default_factory=_nothing)
    skin_regions: np.ndarray = field(default_factory=_nothing)
    skin_region_names: tuple[str, ...] = ()
    uv: np.ndarray = field(default_factory=_nothing)
    uv_faces: np.ndarray = field(default_factory=_nothing)
    hand_uv_window: np.ndarray = field(default_factory=_nothing)
    hand_vertex_count: int = 0
    hand_face_count: int = 0
    render_vertex: np.ndarray = field(default_factory=_nothing)
    render_triangle: np.ndarray = field(default_factory=_nothing)
    render_barycentric: np.ndarray = field(default_factory=_nothing)

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise HandmeshError(f"The hand model {self.name} is not usable: {problem}.")

    def _problem(self) -> str:
        """Return what is wrong with the arrays, or an empty string."""
        vertex_count, shape_count = self.vertex_count, self.shape_count
        joint_count = len(self.parents)
        expected = {
            "template": (vertex_count, 3),
            "shape_dirs": (vertex_count, 3, shape_count),
            "weights": (vertex_count, joint_count),
            "joint_regressor": (16, vertex_count),
            "joint_template": (16, 3),
            "joint_shape_dirs": (16, 3, shape_count),
            "fingertips": (5,),
            "mean_pose": (15, 3),
        }
        if self.pose_dirs.size:
            expected["pose_dirs"] = (vertex_count, 3, 135)
        for name, shape in expected.items():
            values = getattr(self, name)
            if values.shape != shape:
                return f"{name} has shape {values.shape} where {shape} is needed"
            if not np.isfinite(values).all():
                return f"{name} has values that are not finite"
        if tuple(self.parents[:16].tolist()) != MODEL_PARENTS or joint_count not in (16, 17):
            return "its joints are not MANO's sixteen"
        for name in ("faces", "cap_faces", "fingertips"):
            indices = getattr(self, name)
            if indices.size and not 0 <= indices.min() <= indices.max() < vertex_count:
                return f"{name} points to vertices that do not exist"
        if self.faces.ndim != 2 or self.faces.shape[1] != 3:
            return f"faces has shape {self.faces.shape} where (F, 3) is needed"
        if np.abs(self.weights.sum(1) - 1.0).max() > 1e-2:
            return "its skinning weights do not sum to one"
        return ""

    @property
    def vertex_count(self) -> int:
        """V."""
        return len(self.template)

    @property
    def shape_count(self) -> int:
        """B, the number of shape coefficients."""
        return self.shape_dirs.shape[-1]

    @cached_property
    def closed_faces(self) -> np.ndarray:
        """(F + C, 3) int32 faces and the cap: a watertight mesh."""
        return np.concatenate([self.faces, self.cap_faces]).astype(np.int32)

    def faces_for(self, side: int, closed: bool = False) -> np.ndarray:
        """Return the faces for one side, wound so that normals point outwards.

        Args:
            side: `conventions.LEFT` or `conventions.RIGHT`.
            closed: whether the cap is included.

        Returns:
            (F, 3) or (F + C, 3) int32.
        """
        if side not in (LEFT, RIGHT):
            raise HandmeshError(f"A hand's side is 0 (left) or 1 (right), not {side!r}.")
        faces = self.closed_faces if closed else self.faces
        return faces if side == RIGHT else np.ascontiguousarray(faces[:, ::-1])

    @classmethod
    def bundled(cls) -> HandTemplate:
        """Return the open hand with 778 vertices: what the bundled networks output."""
        return cls.load(ASSETS / "open_hand.npz")

    @classmethod
    def bundled_render(cls) -> HandTemplate:
        """Return the open hand with 1609 hand vertices, forearm and texture coordinates."""
        return cls.load(ASSETS / "open_hand_render.npz")

    @classmethod
    def load(cls, path: str | Path) -> HandTemplate:
        """Read a hand model in this project's format, an .npz as `scripts/build_hand_model.py`'s.

        Raises:
            HandmeshError: the file is missing, damaged or not a hand model.
        """
        path = Path(path)
        try:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except Exception as error:  # damaged archives raise a dozen kinds
            raise HandmeshError(
                f"The hand model {path} cannot be read as an .npz file ({error}); "
                "give an existing file or restore it."
            ) from error
        known = {item.name: item for item in fields(cls) if item.name != "sha256"}
        missing = [
            name
            for name, item in known.items()
            if name not in arrays and item.default is item.default_factory is MISSING
        ]
        if missing:
            raise HandmeshError(
                f"The file {path} is no hand model of this project, it lacks "
                f"{', '.join(missing)}; MANO files are read by HandTemplate.from_mano."
            )
        values = {name: _plain(array) for name, array in arrays.items() if name in known}
        try:
            return cls(sha256=sha256, **values)
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            raise HandmeshError(
                f"The file {path} is no hand model of this project, its arrays are of other kinds "
                f"({error}); give another file or restore it."
            ) from error

    @classmethod
    def from_mano(cls, path: str | Path) -> HandTemplate:
        """Read a user's MANO_RIGHT or MANO_LEFT file (.pkl or .npz); see `hand.mano`.

        Raises:
            HandmeshError: the file is missing, damaged, unsafe or not a MANO hand.
        """
        from handmesh_ros.hand.mano import read_mano

        return cls(**read_mano(Path(path)))


def _plain(array: np.ndarray) -> Any:
    """Return a stored array as the field's type: text, integer, or float32 and int32 array."""
    if array.dtype.kind == "U":
        return str(array) if array.ndim == 0 else tuple(array.tolist())
    if array.ndim == 0:
        return int(array)
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int32)

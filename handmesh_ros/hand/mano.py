"""Reader of users' MANO files (Romero et al., Embodied Hands, 2017) without running their pickles.

MANO_RIGHT.pkl holds numpy arrays, a scipy sparse matrix and chumpy arrays. A pickle may name any
function to be called; the unpickler here knows only the few that rebuild those arrays, needs
neither chumpy nor scipy and refuses everything else.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.boundary import boundary_cap
from handmesh_ros.hand.conventions import MODEL_PARENTS

FINGERTIPS = (744, 320, 443, 554, 671)
"""MANO vertices at the tips of thumb, index, middle, ring and little finger, as in smplx's
`vertex_ids`, which MANO users share."""

SHAPE_COUNT = 10
_NUMPY_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray",
                  "numpy.core.numeric", "numpy._core.numeric")  # fmt: skip


def _dtype(*arguments: Any) -> np.dtype:
    """Stand in for `numpy.dtype`; arrays of objects may hold anything."""
    found = np.dtype(*arguments)
    if found.hasobject:
        raise pickle.UnpicklingError("it holds arrays of objects")
    return found


_NUMPY_CALLABLES = {
    "ndarray": np.ndarray,
    "dtype": _dtype,
    "_reconstruct": np.zeros(1).__reduce__()[0],
    "_frombuffer": np.zeros(1).__reduce_ex__(5)[0],
    "scalar": np.float64(0.0).__reduce__()[0],
}
"""What numpy's own pickles call; taken from numpy, as its modules are renamed between versions."""

_SPARSE_NAMES = ("csc_matrix", "csr_matrix", "csc_array", "csr_array")


class _Stored(ABC):
    """Keeps the attributes of a pickled object whose class is not imported."""

    state: Mapping[str, Any] = MappingProxyType({})

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.state = state

    @abstractmethod
    def dense(self) -> np.ndarray:
        """Return the array that the object stands for."""


class _Chumpy(_Stored):
    """A chumpy array: plain (`x`) or a selection (`idxs`) of another one (`a`)."""

    def dense(self) -> np.ndarray:
        if "idxs" in self.state:
            whole = _dense(self.state["a"]).ravel()
            shape = self.state["preferred_shape"]
            return whole[np.asarray(self.state["idxs"])].reshape(shape)
        return _dense(self.state["x"])


class _SparseColumns(_Stored):
    """A scipy matrix in compressed column (CSC) form."""

    def dense(self) -> np.ndarray:
        starts = np.asarray(self.state["indptr"])
        shape = tuple(self.state.get("_shape", self.state.get("shape")))
        matrix = np.zeros(shape)
        columns = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        rows = np.asarray(self.state["indices"])
        np.add.at(matrix, self._place(rows, columns), np.asarray(self.state["data"]))
        return matrix

    @staticmethod
    def _place(inner: np.ndarray, outer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return inner, outer


class _SparseRows(_SparseColumns):
    """A scipy matrix in compressed row (CSR) form."""

    @staticmethod
    def _place(inner: np.ndarray, outer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return outer, inner


def _new_stored(cls: type, *_: object) -> object:
    """Stand in for `copyreg._reconstructor`: an empty object of one of the classes above."""
    if not (isinstance(cls, type) and issubclass(cls, _Stored)):
        raise pickle.UnpicklingError(f"it rebuilds a {cls!r}")
    return cls()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Stand in for `_codecs.encode`, which pickles of Python 3 use for bytes."""
    return str(text).encode("latin1" if encoding == "latin1" else "utf-8")


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that rebuilds arrays and refuses every other class or function."""

    def find_class(self, module: str, name: str) -> Any:
        if module in _NUMPY_MODULES and name in _NUMPY_CALLABLES:
            return _NUMPY_CALLABLES[name]
        if module.split(".")[0] == "chumpy":
            return _Chumpy
        if module.startswith("scipy.sparse") and name in _SPARSE_NAMES:
            return _SparseColumns if name.startswith("csc") else _SparseRows
        if (module, name) in (("copy_reg", "_reconstructor"), ("copyreg", "_reconstructor")):
            return _new_stored
        if (module, name) in (("__builtin__", "object"), ("builtins", "object")):
            return object
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def load_arrays(content: bytes) -> Any:
    """Return what a pickle of plain values and arrays holds, running none of its code.

    Numbers, texts, containers and numpy arrays come back as they are, chumpy arrays and scipy's
    sparse matrices as float64 arrays where they are values of the outermost dictionary.

    Raises:
        pickle.UnpicklingError: the pickle asks for another class or function.
    """
    values = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    if isinstance(values, dict):
        return {k: v.dense() if isinstance(v, _Stored) else v for k, v in values.items()}
    return values


def _dense(value: object) -> np.ndarray:
    """Return a float64 array of an array, chumpy array or sparse matrix."""
    if isinstance(value, _Stored):
        value = value.dense()
    return np.asarray(value, dtype=np.float64)


def _read(path: Path, content: bytes) -> dict[str, Any]:
    """Return the file's named values."""
    try:
        if zipfile.is_zipfile(io.BytesIO(content)):
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        values = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # damaged pickles raise anything
        raise HandmeshError(
            f"The MANO file {path} was not read: {error or type(error).__name__}; "
            "give MANO_RIGHT.pkl as distributed, or an .npz of plain arrays."
        ) from error
    if not isinstance(values, dict):
        raise HandmeshError(
            f"The MANO file {path} holds no dictionary of arrays; give MANO_RIGHT."
        )
    return values


def read_mano(path: Path) -> dict[str, Any]:
    """Return the fields of `HandTemplate` from a MANO right hand, .pkl or .npz.

    Ten shape coefficients are kept. The left hand is the mirror image of the right one in this
    project, so that MANO_LEFT is refused (its published shape directions have a sign error, too:
    github.com/vchoutas/smplx, issue 48).

    Raises:
        HandmeshError: the file is missing, damaged, unsafe, a left hand or no MANO hand.
    """

    try:
        content = path.read_bytes()
    except OSError as error:
        raise HandmeshError(
            f"The MANO file {path} cannot be opened ({error.strerror}); give the path of "
            "MANO_RIGHT.pkl."
        ) from error
    values = _read(path, content)
    needed = ("v_template", "f", "shapedirs", "weights", "J_regressor", "kintree_table")
    missing = [name for name in needed if name not in values]
    if missing:
        raise HandmeshError(
            f"The file {path} is no MANO hand, it lacks {', '.join(missing)}; give MANO_RIGHT.pkl."
        )
    try:
        arrays = {name: _dense(values[name]) for name in needed}
        pose_dirs = _dense(values.get("posedirs", ()))
        mean_pose = _dense(values.get("hands_mean", np.zeros(45))).reshape(15, 3)
        regressor, shape_dirs = arrays["J_regressor"], arrays["shapedirs"][:, :, :SHAPE_COUNT]
        vertices = arrays["v_template"]
        faces = arrays["f"].astype(np.int32)
        joints = regressor @ vertices
        joint_shape_dirs = np.einsum("jv,vcb->jcb", regressor, shape_dirs)
        parents = arrays["kintree_table"][0].astype(np.int64)
    except Exception as error:  # wrong shapes and types of a foreign file
        raise HandmeshError(
            f"The file {path} is no MANO hand ({error}); give MANO_RIGHT.pkl."
        ) from error
    if tuple(parents[1:]) != MODEL_PARENTS[1:] or len(vertices) <= max(FINGERTIPS):
        raise HandmeshError(
            f"The file {path} has {len(parents)} joints and {len(vertices)} vertices, which is "
            "not MANO's hand; give MANO_RIGHT.pkl."
        )
    if joints[4, 0] > joints[0, 0]:
        raise HandmeshError(
            f"The file {path} is a left hand; give MANO_RIGHT.pkl, which serves both sides."
        )
    return {
        "name": "mano",
        "sha256": hashlib.sha256(content).hexdigest(),
        "template": vertices.astype(np.float32),
        "faces": faces,
        "cap_faces": boundary_cap(faces),
        "shape_dirs": shape_dirs.astype(np.float32),
        "weights": arrays["weights"].astype(np.float32),
        "joint_regressor": regressor.astype(np.float32),
        "joint_template": joints.astype(np.float32),
        "joint_shape_dirs": joint_shape_dirs.astype(np.float32),
        "fingertips": np.array(FINGERTIPS, np.int32),
        "parents": np.array(MODEL_PARENTS, np.int32),
        "mean_pose": mean_pose.astype(np.float32),
        "pose_dirs": pose_dirs.astype(np.float32),
    }

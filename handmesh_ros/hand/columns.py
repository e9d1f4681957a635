"""The columns of hands as a table: names, types and units, shared with the JSON of docs/json.md.

One row is one hand. A column that the JSON has, too, has the same name, meaning and words there.
`Hands.to_table` fills a table, `table_from_json` reads one from what `handmesh detect --json`
wrote; whatever else writes rows of hands takes `COLUMNS` and `make_table`. Apache Arrow
(`pyarrow`, extra [table]) is imported only when a table is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from handmesh_ros.common.imports import needed_for
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import KEYPOINT_NAMES, MODEL_JOINT_NAMES

if TYPE_CHECKING:
    import pyarrow

FORMAT, VERSION = "handmesh-hands", 1
"""In the metadata of every table. Within a version columns may be added, none is removed or
changes its meaning."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: as in the JSON, or where that has none as in `Hands` or HandMesh.msg.
        type: of one number or word, as Arrow names it.
        shape: of a cell; () is a single value, -1 an axis that the hand model decides.
        meaning: with unit and frame.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    meaning: str


IMAGE_COLUMNS = (
    Column("path", "string", (), "file of the photograph or video"),
    Column("width", "int32", (), "pixels of the upright image"),
    Column("height", "int32", (), "pixels of the upright image"),
    Column("frame", "int64", (), "number of a video's frame from 0 on; null in photographs"),
    Column("time_s", "float64", (), "time in the video, seconds; null in photographs"),
    Column("intrinsics", "float64", (4,), "fx, fy, cx, cy that were used, pixels"),
)
"""Of the image that shows the hand: the same in all rows of one image."""

DETECTION_COLUMNS = (
    Column("handedness", "string", (), '"left" or "right", the person\'s own side'),
    Column("handedness_score", "float32", (), "probability of that side, 0.5 to 1"),
    Column("score", "float32", (), "confidence that this is a hand, 0 to 1"),
    Column("box", "float32", (4,), "x0, y0, x1, y1, pixels; may reach beyond the image"),
    Column("keypoints_2d", "float32", (21, 2), "x, y of each keypoint, pixels"),
    Column("joints", "float32", (21, 3), "x, y, z of each keypoint, metres, camera optical frame"),
    Column("scale_source", "string", (), '"assumed", "calibrated" or "depth"'),
    Column("refined", "bool", (), "read off its own crop of the image"),
    Column(
        "keypoint_scores",
        "float32",
        (21,),
        "probability of each keypoint of `keypoints_2d`, 0 to 1",
    ),
)
"""The fields of a hand in the JSON, in their order."""

POSE_COLUMNS = (
    Column("rotations", "float32", (16, 3, 3), "of the model's joints; the wrist's in the camera"),
    Column("shape", "float32", (-1,), "coefficients of the hand model"),
    Column("translation", "float32", (3,), "wrist, metres, camera optical frame"),
)
"""Parameters of the hand model, which the JSON does not have."""

MESH_COLUMNS = (
    Column("vertices", "float32", (-1, 3), "x, y, z, metres, camera optical frame"),
    Column("colors", "float32", (-1, 3), "red, green, blue of each vertex, sRGB, 0 to 1"),
)
"""Only where the mesh is asked for."""

TRACK_COLUMNS = (
    Column("track_id", "int64", (), "the same hand keeps it, from 1 on; 0 is not tracked"),
    Column("state", "string", (), '"tracked", "predicted" or "lost"'),
    Column("age_s", "float32", (), "seconds since the hand was last seen"),
)
"""Of hands that were followed from image to image."""

COLUMNS = {
    column.name: column
    for column in (
        *IMAGE_COLUMNS,
        *TRACK_COLUMNS,
        *DETECTION_COLUMNS,
        *POSE_COLUMNS,
        *MESH_COLUMNS,
    )
}
"""All columns by name, in the order in which a table has those that it has."""


def make_table(columns: Mapping[str, Any], count: int) -> pyarrow.Table:
    """Return a table of hands.

    Args:
        columns: of each name in `COLUMNS` (count, *shape) values, or one for all rows: a word, a
            number or None.
        count: rows.

    Raises:
        HandmeshError: pyarrow is missing, or a column does not exist or does not fit.
    """
    with needed_for("A table of hands", ".[table]"):
        import pyarrow
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise HandmeshError(
            f"A table of hands has no column {', '.join(unknown)}: take one of "
            f"{', '.join(COLUMNS)}."
        )
    names = [name for name in COLUMNS if name in columns]
    arrays = [_array(pyarrow, COLUMNS[name], columns[name], count) for name in names]
    fields = [
        pyarrow.field(name, array.type, metadata={"meaning": COLUMNS[name].meaning})
        for name, array in zip(names, arrays, strict=True)
    ]
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "keypoint_names": json.dumps(KEYPOINT_NAMES),
        "model_joint_names": json.dumps(MODEL_JOINT_NAMES),
    }
    return pyarrow.table(arrays, schema=pyarrow.schema(fields, metadata=metadata))


def table_from_json(result: Mapping[str, Any]) -> pyarrow.Table:
    """Return the hands of a JSON of `handmesh detect` as a table, images and hands in its order.

    Args:
        result: the object as `json.load` gives it.

    Raises:
        HandmeshError: it is another JSON, or pyarrow is missing.
    """
    if not isinstance(result, Mapping) or result.get("format") != "handmesh-detections":
        raise HandmeshError(
            'This JSON has no "format": "handmesh-detections": give one that '
            "`handmesh detect --json FILE` wrote."
        )
    columns = [*IMAGE_COLUMNS, *DETECTION_COLUMNS]
    try:
        rows = list(_rows(result))
        if "faces" in result and rows:
            columns.append(COLUMNS["vertices"])
        values = {column.name: [row[column.name] for row in rows] for column in columns}
    except (KeyError, TypeError, AttributeError) as error:
        raise HandmeshError(
            f"This JSON is not one that `handmesh detect` wrote whole ({error}): write it again."
        ) from error
    return make_table(values, len(rows))


def column_values(table: pyarrow.Table, name: str) -> np.ndarray:
    """Return a column as one NumPy array.

    Args:
        table: such as `Hands.to_table` makes, also when read back from a file.
        name: of one of its columns.

    Returns:
        (N, *shape of the column); words and columns with nulls are of dtype object.

    Raises:
        HandmeshError: the table has no such column.
    """
    if name not in table.column_names:
        raise HandmeshError(
            f"The table has no column {name}, only {', '.join(table.column_names)}."
        )
    column = table[name].combine_chunks()
    shape = [len(column)]
    while hasattr(column.type, "list_size"):
        shape.append(column.type.list_size)
        column = column.flatten()
    if column.null_count:
        return np.array(column.to_pylist(), object).reshape(shape)
    return column.to_numpy(zero_copy_only=False).reshape(shape)


def _rows(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each hand of a JSON together with the fields of its image."""
    for image in result["images"]:
        shared = {column.name: image.get(column.name) for column in IMAGE_COLUMNS}
        for hand in image["hands"]:
            yield shared | hand


def _array(pyarrow: Any, column: Column, values: Any, count: int) -> Any:
    """Return the values of one column as an Arrow array, nested in lists of fixed sizes."""
    kind = pyarrow.type_for_alias(column.type)
    try:
        if column.shape:
            array = _nested(pyarrow, column, np.asarray(values, column.type), count)
        else:
            if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
                values = [values] * count
            array = pyarrow.array([_plain(value) for value in values], kind)
    except (ValueError, TypeError) as error:  # those of pyarrow are of these kinds, too
        reason = " ".join(str(error).split())
        raise HandmeshError(
            f"The column {column.name} of a table of hands cannot be made of these values "
            f"({reason}): give {column.type} of shape {('N', *column.shape)}."
        ) from error
    if len(array) != count:
        raise HandmeshError(
            f"The column {column.name} has {len(array)} values for {count} hands: give one each."
        )
    return array


def _nested(pyarrow: Any, column: Column, cells: np.ndarray, count: int) -> Any:
    if not cells.size and not count and -1 not in column.shape:
        cells = cells.reshape(0, *column.shape)  # an empty list knows no shape
    if cells.ndim == len(column.shape):
        cells = np.broadcast_to(cells, (count, *cells.shape))
    fits = cells.ndim == len(column.shape) + 1 and all(
        size in (-1, given) for size, given in zip(column.shape, cells.shape[1:], strict=True)
    )
    if not fits:
        raise ValueError(f"their shape is {cells.shape}")
    array = pyarrow.array(cells.ravel())
    for size in reversed(cells.shape[1:]):
        array = pyarrow.FixedSizeListArray.from_arrays(array, size)
    return array


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value

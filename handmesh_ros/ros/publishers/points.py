"""Meshes as a sensor_msgs/PointCloud2, built as bytes."""

from __future__ import annotations

import array

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from handmesh_ros.hand.hands import Hands

POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4"), ("track_id", "<u4")])
"""Layout of one point; `rgb` is 0x00RRGGBB, which RViz and PCL read through a float."""

_KINDS = {  # of four bytes each, in this order
    "x": PointField.FLOAT32,
    "y": PointField.FLOAT32,
    "z": PointField.FLOAT32,
    "rgb": PointField.FLOAT32,
    "track_id": PointField.UINT32,
}


def points_message(hands: Hands, track_id: np.ndarray, header: Header) -> PointCloud2:
    """Return the vertices of all hands as one cloud, V points a hand in the hands' order.

    Args:
        hands: of one image.
        track_id: (N,) their ids.
        header: of the image; goes in untouched.
    """
    count, vertex_count = hands.vertices.shape[:2]
    points = np.zeros((count, vertex_count), POINT)
    for axis, name in enumerate("xyz"):
        points[name] = hands.vertices[..., axis]
    red, green, blue = np.rint(np.clip(hands.colors, 0.0, 1.0) * 255.0).astype(np.uint32).T
    points["rgb"] = (red << 16 | green << 8 | blue).T
    points["track_id"] = track_id[:, None]
    return PointCloud2(
        header=header,
        height=1,
        width=points.size,
        fields=[
            PointField(name=name, offset=4 * index, datatype=kind, count=1)
            for index, (name, kind) in enumerate(_KINDS.items())
        ],
        is_bigendian=False,
        point_step=POINT.itemsize,
        row_step=POINT.itemsize * points.size,
        data=array.array("B", points.tobytes()),
        is_dense=True,
    )

"""`HandMeshArray` as publishers take it: rows that lie in memory as HandMesh does on the wire.

Message objects, filled and then serialised, cost several times what filling these rows costs, and
the more the more hands there are. Plain CDR (see `cdr`) pads a structure as C does, and HandMesh
ends on a multiple of eight bytes; so a NumPy array of aligned structures is the sequence of hands,
but for the place where it begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from rclpy.serialization import deserialize_message
from std_msgs.msg import Header

from handmesh_ros.errors import HandmeshError
from handmesh_ros.msg import HandMeshArray, LatencyBreakdown
from handmesh_ros.ros.conversions.cdr import CdrWriter


@cache
def hand_layout(vertex_count: int) -> np.dtype:
    """Return the type of a row: the fields of HandMesh.msg, `box` and `wrist` in their parts.

    Args:
        vertex_count: of every hand; 0 for hands without mesh.
    """
    return np.dtype(
        [
            ("track_id", "<u4"),
            ("handedness", "u1"),
            ("handedness_score", "<f4"),
            ("score", "<f4"),
            ("state", "u1"),
            ("age_s", "<f4"),
            ("scale_source", "u1"),
            ("refined", "?"),
            ("box", "<u4", 4),  # x_offset, y_offset, height, width
            ("do_rectify", "?"),
            ("keypoints_2d", "<f4", (21, 2)),
            ("joints", "<f4", (21, 3)),
            ("joint_scores", "<f4", 21),
            ("position", "<f8", 3),
            ("orientation", "<f8", 4),
            ("covariance", "<f8", (6, 6)),
            ("joint_rotations", "<f4", (16, 4)),
            ("shape", "<f4", 10),
            ("vertex_numbers", "<u4"),
            ("vertices", "<f4", (vertex_count, 3)),
            ("color_numbers", "<u4"),
            ("vertex_colors", "u1", (vertex_count, 3)),
            ("pinch_aperture", "<f4"),
            ("palm_normal", "<f8", 3),
            ("approach", "<f8", 3),
            ("gesture", "u1"),
            ("gesture_score", "<f4"),
        ],
        align=True,
    )


@dataclass(frozen=True)
class HandArray:
    """The content of a HandMeshArray without its latencies, which are known last.

    Attributes:
        header: of the image.
        hands: (N,) of `hand_layout`.
        intrinsics: (4,) fx, fy, cx, cy, pixels.
        calibrated: they come from camera_info.
        model_id: of the network.
    """

    header: Header
    hands: np.ndarray
    intrinsics: np.ndarray
    calibrated: bool
    model_id: str

    def to_bytes(self, latency: LatencyBreakdown) -> bytes:
        """Return the serialised HandMeshArray."""
        writer = CdrWriter()
        writer.write_header(self.header)
        writer.write("I", len(self.hands))
        fields = self.hands.dtype.fields
        if len(self.hands) and fields:
            # The first row begins where four-byte fields may; its first eight-byte field, and
            # with it all that follows, is aligned anew.
            rows, first = self.hands.view(np.uint8).data, fields["position"][1]
            writer.write_aligned(rows[:first], 4)
            writer.write_aligned(rows[first:], 8)
        writer.write("d", *self.intrinsics.tolist())
        writer.write("?", self.calibrated)
        writer.write("f", latency.preprocess_ms, latency.inference_ms, latency.decode_ms)
        writer.write("f", latency.publish_ms, latency.age_ms)
        writer.write_string(self.model_id)
        return writer.to_bytes()


def check_hand_layout() -> None:
    """Check that the built messages are those which `HandArray` writes.

    Raises:
        HandmeshError: they are not, because they were built from other .msg files.
    """
    hands = np.zeros(2, hand_layout(1))
    hands["vertex_numbers"] = hands["color_numbers"] = 3
    hands["track_id"], hands["gesture_score"] = (7, 8), 0.5
    sent = HandArray(Header(frame_id="camera"), hands, np.ones(4), True, "model")
    try:
        read = deserialize_message(sent.to_bytes(LatencyBreakdown()), HandMeshArray)
        last = read.hands[-1]
        same = (read.model_id, last.track_id, last.gesture_score) == ("model", 8, 0.5)
    except Exception:
        same = False
    if not same:
        raise HandmeshError(
            "The messages of handmesh_ros were built from another version of it: run "
            "`colcon build` again and source install/setup.bash."
        )

"""`Hands` to RViz markers, as a serialised visualization_msgs/MarkerArray.

Namespaces `mesh`, `skeleton`, `joints` and `label`; the ids are those of the hands, so a marker
keeps its id while its hand does, and hands that are gone are deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import LEFT, RIGHT, SIDES, SKELETON, WRIST
from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.ros.conversions.cdr import CdrWriter
from handmesh_ros.visualization.meshes import vertex_normals, vertex_shade

NAMESPACES = ("mesh", "skeleton", "joints", "label")
FINGER_COLORS = np.array(
    [(240, 80, 60), (250, 180, 40), (90, 210, 90), (60, 150, 250), (190, 90, 230)], np.float32
)
SIDE_COLORS = np.array([(95, 175, 255), (255, 170, 95)], np.float32)
ID_COLORS = np.array(
    [
        (240, 96, 80), (80, 176, 240), (120, 208, 96), (248, 184, 64),
        (184, 120, 232), (72, 208, 192), (240, 128, 184), (168, 152, 112),
    ],
    np.float32,
)  # fmt: skip
"""Colours of `mesh_color` "id": that of a hand is the one at its id modulo their number."""

BONE_WIDTH_M, JOINT_SIZE_M, LABEL_HEIGHT_M, LABEL_OFFSET_M = 0.004, 0.009, 0.025, 0.03
SKELETON_LIFT_M = 0.035
"""Skeletons are this much nearer to the camera than the hand, along the rays of the image: from
the camera they cover the mesh where the joints are seen, from the side they are beside it."""

PREDICTED_ALPHA = 0.4
"""Opacity of hands that are not seen at the moment."""

_IDENTITY = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
_NO_POINTS = np.zeros((0, 3))
_NO_COLORS = np.zeros((0, 4), np.float32)


@dataclass(frozen=True)
class MarkerContent:
    """What differs between markers; the meaning of the fields is that of Marker.msg."""

    namespace: str
    id: int
    type: int = Marker.SPHERE
    action: int = Marker.ADD
    scale: tuple[float, float, float] = (0.0, 0.0, 0.0)
    color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    pose: tuple[float, ...] = _IDENTITY
    points: np.ndarray = field(default_factory=lambda: _NO_POINTS)
    colors: np.ndarray = field(default_factory=lambda: _NO_COLORS)
    text: str = ""


class MarkerBuilder:
    """Makes marker messages and remembers which markers are on the screen.

    Args:
        template: whose mesh the hands have. Its wrist is closed: open, it shows as a black hole.

    Raises:
        HandmeshError: this ROS release lays out MarkerArray differently.
    """

    def __init__(self, template: HandTemplate) -> None:
        self._triangles = [template.faces_for(side, closed=True).ravel() for side in (LEFT, RIGHT)]
        bones = np.array(SKELETON)
        self._bones = bones.ravel()
        self._bone_colors = _rgba(np.repeat(FINGER_COLORS, 8, axis=0))
        self._joint_colors = _rgba(
            np.concatenate([np.full((1, 3), 255.0), np.repeat(FINGER_COLORS, 4, axis=0)])
        )
        self._shown: set[int] = set()
        check_marker_layout()

    def build(
        self,
        hands: Hands,
        stamp: Time,
        frame_id: str,
        *,
        lifetime_s: float,
        mesh_color: str = "skin",
        ids: list[int] | None = None,
        seen: np.ndarray | None = None,
    ) -> bytes:
        """Return the serialised MarkerArray that shows these hands and no others.

        Args:
            hands: of one image.
            stamp: of the image.
            frame_id: of the image: the camera's optical frame.
            lifetime_s: until markers vanish by themselves.
            mesh_color: "skin" for the estimated colours, "side" for one colour per side, "id" for
                one per id.
            ids: of the hands; None numbers them.
            seen: (N,) False for hands whose pose is predicted, which are translucent; None for
                all seen.
        """
        ids = list(range(len(hands))) if ids is None else ids
        contents = [
            MarkerContent(namespace, gone, action=Marker.DELETE)
            for gone in sorted(self._shown - set(ids))
            for namespace in NAMESPACES
        ]
        for index, hand_id in enumerate(ids):
            alpha = 1.0 if seen is None or seen[index] else PREDICTED_ALPHA
            contents += self._hand_markers(hands, index, hand_id, mesh_color, alpha)
        self._shown = set(ids)
        return serialize(contents, stamp, frame_id, lifetime_s)

    def clear(self, stamp: Time, frame_id: str) -> bytes:
        """Return the serialised MarkerArray that removes everything shown."""
        return self.build(Hands.empty(), stamp, frame_id, lifetime_s=0.0)

    def _hand_markers(
        self, hands: Hands, index: int, hand_id: int, mesh_color: str, alpha: float
    ) -> list[MarkerContent]:
        side = int(hands.handedness[index])
        joints = hands.joints[index].astype(np.float64)
        triangles = self._triangles[side]
        vertices = hands.vertices[index].astype(np.float64)
        colors = hands.colors[index] * 255.0
        if mesh_color == "side":
            colors = np.broadcast_to(SIDE_COLORS[side], colors.shape)
        elif mesh_color == "id":
            colors = np.broadcast_to(ID_COLORS[hand_id % len(ID_COLORS)], colors.shape)
        # RViz draws triangles that have colours of their own without light.
        normals = vertex_normals(vertices, triangles.reshape(-1, 3))
        colors = colors * vertex_shade(normals)[:, None]
        distance = float(np.linalg.norm(joints[WRIST]))
        label = f"{SIDES[side]} {hands.score[index]:.2f}  {distance:.2f} m"
        top = joints[joints[:, 1].argmin()]
        above = [joints[:, 0].mean(), top[1] - LABEL_OFFSET_M, top[2]]
        opacity = np.array([1.0, 1.0, 1.0, alpha], np.float32)
        ahead = np.maximum(joints[:, 2:], 2 * SKELETON_LIFT_M)
        lifted = joints * (1.0 - SKELETON_LIFT_M / ahead)
        return [
            MarkerContent(
                "mesh",
                hand_id,
                Marker.TRIANGLE_LIST,
                scale=(1.0, 1.0, 1.0),
                points=vertices[triangles],
                colors=_rgba(colors, alpha)[triangles],
            ),
            MarkerContent(
                "skeleton",
                hand_id,
                Marker.LINE_LIST,
                scale=(BONE_WIDTH_M, 0.0, 0.0),
                points=lifted[self._bones],
                colors=self._bone_colors * opacity,
            ),
            MarkerContent(
                "joints",
                hand_id,
                Marker.SPHERE_LIST,
                scale=(JOINT_SIZE_M,) * 3,
                points=lifted,
                colors=self._joint_colors * opacity,
            ),
            MarkerContent(
                "label",
                hand_id,
                Marker.TEXT_VIEW_FACING,
                scale=(0.0, 0.0, LABEL_HEIGHT_M),
                color=(1.0, 1.0, 1.0, alpha),
                pose=(*map(float, above), *_IDENTITY[3:]),
                text=label,
            ),
        ]


def serialize(
    contents: list[MarkerContent], stamp: Time, frame_id: str, lifetime_s: float
) -> bytes:
    """Return a serialised visualization_msgs/MarkerArray."""
    header = Header(stamp=stamp, frame_id=frame_id)
    lifetime = (int(lifetime_s), int(lifetime_s % 1.0 * 1e9))
    writer = CdrWriter()
    writer.write("I", len(contents))
    for content in contents:
        writer.write_header(header)
        writer.write_string(content.namespace)
        writer.write("i", content.id, content.type, content.action)
        writer.write("d", *content.pose)
        writer.write("d", *content.scale)
        writer.write("f", *content.color)
        writer.write("i", *lifetime)
        writer.write("?", False)
        writer.write_sequence(content.points)
        writer.write_sequence(content.colors)
        _write_no_texture(writer)
        writer.write_string(content.text)
        _write_no_mesh_file(writer)
    return writer.to_bytes()


def check_marker_layout() -> None:
    """Check that this ROS release reads what `serialize` writes.

    Raises:
        HandmeshError: it does not, because its Marker.msg has other fields.
    """
    corner = np.array([[1.0, 2.0, 3.0]])
    sent = MarkerContent("mesh", 7, points=corner, colors=_rgba(corner * 85.0), text="last")
    try:
        written = serialize([sent, sent], Time(sec=5), "camera", 0.5)
        last = deserialize_message(written, MarkerArray).markers[1]
        same = (last.id, last.text, last.points[0].z, last.colors[0].b) == (7, "last", 3.0, 1.0)
    except Exception:
        same = False
    if not same:
        raise HandmeshError(
            "visualization_msgs/Marker of this ROS release has other fields than those of "
            "Humble to Kilted, so no markers are published: update handmesh_ros."
        )


def _write_no_texture(writer: CdrWriter) -> None:
    writer.write_string("")
    writer.write("I", 0, 0)
    writer.write_string("")
    writer.write_string("")
    writer.write("I", 0)
    writer.write("I", 0)


def _write_no_mesh_file(writer: CdrWriter) -> None:
    writer.write_string("")
    writer.write_string("")
    writer.write("I", 0)
    writer.write("?", False)


def _rgba(rgb: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """Return (N, 4) float32 in [0, 1] from (N, 3) in [0, 255]."""
    rgba = np.full((len(rgb), 4), alpha, np.float32)
    rgba[:, :3] = rgb / 255.0
    return rgba

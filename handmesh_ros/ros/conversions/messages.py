"""`Hands` to messages."""

from __future__ import annotations

import array

import numpy as np
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header

from handmesh_ros.hand.conventions import (
    KEYPOINT_NAMES,
    LEFT,
    MODEL_JOINT_NAMES,
    MODEL_PARENTS,
    RIGHT,
    SKELETON,
    WRIST,
    operator_frame,
)
from handmesh_ros.hand.hands import Hands, ScaleSource, State
from handmesh_ros.hand.rotations import matrices, quaternions
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.hand.vectors import lengths
from handmesh_ros.hand.visibility import is_inside, is_unobstructed
from handmesh_ros.msg import HandMesh, HandMeshArray, HandTopology
from handmesh_ros.ros.conversions.cdr import CdrWriter
from handmesh_ros.ros.conversions.covariance import wrist_covariances
from handmesh_ros.ros.conversions.hand_array import HandArray, hand_layout
from handmesh_ros.teleop.geometry import approach_direction, pinch_aperture
from handmesh_ros.tracking.tracker import TrackedHands

SHAPE_COUNT = 10

HIDDEN_JOINT_WEIGHT = np.float32(0.5)
"""Trust in a joint that a hand hides: its place follows from the rest of the hand only."""


def hand_array(
    tracked: TrackedHands,
    header: Header,
    *,
    image_size: tuple[int, int],
    intrinsics: np.ndarray,
    publish_mesh: bool = True,
    calibrated: bool = False,
    model_id: str = "",
) -> HandArray:
    """Return what is published of the hands of one image.

    Args:
        tracked: the hands; those of no tracker as `TrackedHands.untracked`.
        header: the image's; goes in untouched.
        image_size: (height, width) of the image, pixels.
        intrinsics: (4,) fx, fy, cx, cy, pixels.
        publish_mesh: fill vertices and vertex colours.
        calibrated: the intrinsics come from camera_info.
        model_id: of the network.
    """
    hands, joints = tracked.hands, tracked.hands.joints
    handedness, box, shape = hands.handedness, hands.box, hands.shape[:, :SHAPE_COUNT]
    wrist = operator_frame(joints, handedness == RIGHT)
    turns = quaternions(np.concatenate([wrist[:, None], hands.rotations], axis=1))
    # A size says how far a hand is only where the focal length is known.
    is_metric = (hands.scale_source == ScaleSource.DEPTH.value) | calibrated
    source = np.where(is_metric, hands.scale_source, ScaleSource.ASSUMED.value)
    weights = joint_weights(hands, tracked.state == State.TRACKED.value, image_size)

    rows = np.zeros(len(hands), hand_layout(hands.vertices.shape[1] if publish_mesh else 0))
    rows["track_id"] = tracked.track_id
    rows["handedness"], rows["handedness_score"] = handedness, hands.handedness_score
    rows["score"], rows["state"], rows["age_s"] = hands.score, tracked.state, tracked.age_s
    rows["scale_source"], rows["refined"] = source, hands.refined
    rows["box"] = pixel_boxes(box, image_size)
    rows["keypoints_2d"], rows["joints"] = hands.keypoints_2d, joints
    rows["joint_scores"] = hands.score[:, None] * weights * hands.keypoint_scores
    rows["position"], rows["orientation"] = joints[:, WRIST], turns[:, 0]
    rows["covariance"] = wrist_covariances(
        joints[:, WRIST],
        float(intrinsics[0]),
        lengths(box[:, 2:] - box[:, :2]),
        source,
        tracked.age_s,
    )
    rows["joint_rotations"] = turns[:, 1:]
    rows["shape"][:, : shape.shape[1]] = shape
    if publish_mesh:
        rows["vertex_numbers"] = rows["color_numbers"] = 3 * hands.vertices.shape[1]
        rows["vertices"] = hands.vertices
        rows["vertex_colors"] = np.rint(hands.colors.clip(0.0, 1.0) * 255.0)
    rows["pinch_aperture"] = pinch_aperture(joints)
    rows["palm_normal"], rows["approach"] = wrist[..., 0], approach_direction(joints)
    rows["gesture"] = tracked.gesture
    rows["gesture_score"] = tracked.gesture_score * weights.mean(-1)
    return HandArray(header, rows, np.asarray(intrinsics, np.float64), calibrated, model_id)


def joint_weights(hands: Hands, is_seen: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Return (N, 21) float32 trust in each joint: 0 outside the image, half behind a hand.

    Args:
        hands: of one image.
        is_seen: (N,) the image shows them; only these hide joints.
        image_size: (height, width), pixels.
    """
    is_free = is_unobstructed(hands.joints, is_seen)
    weights = np.where(is_free, np.float32(1.0), HIDDEN_JOINT_WEIGHT)
    return weights * is_inside(hands.keypoints_2d, image_size)


def wrists_to_bytes(array: HandArray) -> bytes:
    """Return the wrists of the hands that are not lost as a serialised geometry_msgs/PoseArray.

    They come in the order of the hands. The x axis of each points out of the palm, z from the
    wrist along the hand.
    """
    poses = np.concatenate([array.hands["position"], array.hands["orientation"]], axis=1)
    writer = CdrWriter()
    writer.write_header(array.header)
    writer.write_sequence(poses[array.hands["state"] != State.LOST.value])
    return writer.to_bytes()


def message_to_hands(message: HandMeshArray) -> Hands:
    """Return the hands of a message, for subscribers that compute with NumPy.

    Boxes are those of the message, clipped to the image; without `publish_mesh` there are no
    vertices.
    """
    hands, count = message.hands, len(message.hands)

    def stack(rows: list, *shape: int) -> np.ndarray:
        return np.array(rows, np.float32).reshape(count, *shape)

    mesh_size = len(hands[0].vertices) // 3 if hands else 0
    score = np.array([hand.handedness_score for hand in hands], np.float32)
    is_right = np.array([hand.handedness == HandMesh.RIGHT for hand in hands], bool)
    boxes = [hand.box for hand in hands]
    joints = stack([hand.joints for hand in hands], 21, 3)
    return Hands(
        score=np.array([hand.score for hand in hands], np.float32),
        right_probability=np.where(is_right, score, 1.0 - score).astype(np.float32),
        box=stack([_corners(box) for box in boxes], 4),
        keypoints_2d=stack([hand.keypoints_2d for hand in hands], 21, 2),
        joints=joints,
        vertices=stack([hand.vertices for hand in hands], mesh_size, 3),
        rotations=matrices(stack([hand.joint_rotations for hand in hands], 16, 4)).astype(
            np.float32
        ),
        shape=stack([hand.shape for hand in hands], SHAPE_COUNT),
        translation=joints[:, WRIST].copy(),
        colors=stack([hand.vertex_colors for hand in hands], mesh_size, 3) / np.float32(255.0),
        scale_source=np.array([hand.scale_source for hand in hands], np.uint8),
        keypoint_scores=stack([_shares(hand) for hand in hands], 21),
        refined=np.array([hand.refined for hand in hands], bool),
    )


def topology_message(template: HandTemplate, model_id: str) -> HandTopology:
    """Return what is the same in every message of one model.

    Args:
        template: of the hands that the network puts out.
        model_id: of the network.
    """
    right, left = (template.faces_for(side, closed=True).ravel() for side in (RIGHT, LEFT))
    return HandTopology(
        model_id=model_id,
        hand_model=template.name,
        hand_model_sha256=template.sha256,
        vertex_count=template.vertex_count,
        triangles_right=array.array("I", right.tolist()),
        triangles_left=array.array("I", left.tolist()),
        cap_triangle_count=len(template.cap_faces),
        joint_names=list(KEYPOINT_NAMES),
        skeleton_edges=array.array("B", np.ravel(SKELETON).tolist()),
        rotation_names=list(MODEL_JOINT_NAMES),
        rotation_parents=array.array("b", MODEL_PARENTS),
    )


def image_message(rgb: np.ndarray, header: Header) -> Image:
    """Return an rgb8 image.

    Args:
        rgb: (H, W, 3) uint8.
        header: goes in untouched.
    """
    height, width = rgb.shape[:2]
    return Image(
        header=header,
        height=height,
        width=width,
        encoding="rgb8",
        step=3 * width,
        data=_bytes(rgb),
    )


def pixel_boxes(boxes: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Return the parts of boxes that lie in the image, in whole pixels.

    Args:
        boxes: (N, 4) x0, y0, x1, y1, pixels.
        image_size: (height, width), pixels.

    Returns:
        (N, 4) int x, y, height, width, in the order of sensor_msgs/RegionOfInterest.
    """
    inside = boxes.reshape(-1, 2, 2).clip(0, image_size[::-1])
    low, high = np.floor(inside[:, 0]), np.ceil(inside[:, 1])
    return np.concatenate([low, (high - low)[:, ::-1]], axis=1).astype(int)


def _shares(hand: HandMesh) -> np.ndarray:
    """Return (21,) the joint scores as shares of the hand's score."""
    return np.asarray(hand.joint_scores) / max(hand.score, 1e-6)


def _corners(box: RegionOfInterest) -> tuple[int, int, int, int]:
    return box.x_offset, box.y_offset, box.x_offset + box.width, box.y_offset + box.height


def _bytes(values: np.ndarray) -> array.array:
    return array.array("B", np.ascontiguousarray(values, np.uint8).tobytes())

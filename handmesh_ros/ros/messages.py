"""`Hands` to messages. Long fields are flat arrays: they cost a copy, not a Python loop."""

from __future__ import annotations

import array

import numpy as np
from geometry_msgs.msg import PoseArray, Vector3
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header

from handmesh_ros.grasp.geometry import approach_direction, pinch_aperture
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
from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.rotations import matrices, quaternions
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.hand.visibility import is_inside, is_unobstructed
from handmesh_ros.msg import HandMesh, HandMeshArray, HandTopology
from handmesh_ros.ros.geometry import wrist_covariances
from handmesh_ros.temporal.tracker import TrackedHands

SHAPE_COUNT = 10

HIDDEN_JOINT_WEIGHT = 0.5
"""Trust in a joint that a hand hides: its place follows from the rest of the hand only."""


def hands_to_message(
    tracked: TrackedHands,
    header: Header,
    *,
    image_size: tuple[int, int],
    intrinsics: np.ndarray,
    publish_mesh: bool = True,
) -> HandMeshArray:
    """Return the message; `latency`, `model_id` and `calibrated` are left to the caller.

    Args:
        tracked: hands of one image; those of no tracker as `TrackedHands.untracked`.
        header: the image's header; goes in untouched.
        image_size: (height, width) of the image, pixels.
        intrinsics: (4,) fx, fy, cx, cy, pixels.
        publish_mesh: fill vertices and vertex colours.
    """
    message = HandMeshArray(header=header, intrinsics=np.asarray(intrinsics, np.float64))
    hands = tracked.hands
    rotations = quaternions(hands.rotations).astype(np.float32).reshape(len(hands), 64)
    wrist_frames = operator_frame(hands.joints, hands.handedness == RIGHT)
    frames, normals = quaternions(wrist_frames), wrist_frames[..., 0]
    pinch, approach = pinch_aperture(hands.joints), approach_direction(hands.joints)
    colors = np.rint(np.clip(hands.colors, 0.0, 1.0) * 255.0).astype(np.uint8)
    handedness, handedness_score = hands.handedness, hands.handedness_score
    boxes = pixel_boxes(hands.box, image_size).tolist()
    covariances = wrist_covariances(
        hands.joints[:, WRIST],
        float(intrinsics[0]),
        np.linalg.norm(hands.box[:, 2:] - hands.box[:, :2], axis=1),
        hands.scale_source,
        tracked.age_s,
    ).reshape(len(hands), 36)
    weights = joint_weights(hands, image_size)
    joint_scores = hands.score[:, None] * weights
    gesture_score = tracked.gesture_score * weights.mean(-1)
    for index in range(len(hands)):
        hand = HandMesh(
            track_id=int(tracked.track_id[index]),
            handedness=int(handedness[index]),
            handedness_score=float(handedness_score[index]),
            score=float(hands.score[index]),
            state=int(tracked.state[index]),
            age_s=float(tracked.age_s[index]),
            scale_source=int(hands.scale_source[index]),
            box=_region(*boxes[index]),
            keypoints_2d=_flat(hands.keypoints_2d[index]),
            joints=_flat(hands.joints[index]),
            joint_scores=joint_scores[index],
            joint_rotations=rotations[index],
            shape=_shape(hands.shape[index]),
            pinch_aperture=float(pinch[index]),
            palm_normal=_vector(normals[index]),
            approach=_vector(approach[index]),
            gesture=int(tracked.gesture[index]),
            gesture_score=float(gesture_score[index]),
        )
        if publish_mesh:
            hand.vertices = _floats(hands.vertices[index])
            hand.vertex_colors = _bytes(colors[index])
        pose, wrist = hand.wrist.pose, hands.joints[index, WRIST].astype(float)
        pose.position.x, pose.position.y, pose.position.z = wrist.tolist()
        orientation = pose.orientation
        orientation.x, orientation.y, orientation.z, orientation.w = frames[index].tolist()
        hand.wrist.covariance = covariances[index]
        message.hands.append(hand)
    return message


def joint_weights(hands: Hands, image_size: tuple[int, int]) -> np.ndarray:
    """Return (N, 21) float32 trust in each joint: 0 outside the image, half behind a hand.

    Args:
        hands: of one image.
        image_size: (height, width), pixels.
    """
    seen = np.where(is_unobstructed(hands.joints), 1.0, HIDDEN_JOINT_WEIGHT)
    return (seen * is_inside(hands.keypoints_2d, image_size)).astype(np.float32)


def wrists_message(message: HandMeshArray) -> PoseArray:
    """Return the wrists of the hands that are not lost, in their order.

    The x axis of each pose points out of the palm, z from the wrist along the hand.
    """
    alive = [hand for hand in message.hands if hand.state != HandMesh.LOST]
    return PoseArray(header=message.header, poses=[hand.wrist.pose for hand in alive])


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
        (N, 4) int x, y, width, height.
    """
    inside = np.clip(boxes.reshape(-1, 2, 2), 0, image_size[::-1])
    low, high = np.floor(inside[:, 0]), np.ceil(inside[:, 1])
    return np.concatenate([low, high - low], axis=1).astype(int)


def _region(x: int, y: int, width: int, height: int) -> RegionOfInterest:
    return RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)


def _corners(box: RegionOfInterest) -> tuple[int, int, int, int]:
    return box.x_offset, box.y_offset, box.x_offset + box.width, box.y_offset + box.height


def _vector(values: np.ndarray) -> Vector3:
    x, y, z = values.tolist()
    return Vector3(x=x, y=y, z=z)


def _flat(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32).ravel()


def _shape(values: np.ndarray) -> np.ndarray:
    shape = np.zeros(SHAPE_COUNT, np.float32)
    shape[: len(values)] = values[:SHAPE_COUNT]
    return shape


def _floats(values: np.ndarray) -> array.array:
    return array.array("f", np.ascontiguousarray(values, np.float32).tobytes())


def _bytes(values: np.ndarray) -> array.array:
    return array.array("B", np.ascontiguousarray(values, np.uint8).tobytes())

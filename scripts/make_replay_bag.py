"""Writes test/ros/bags/two_hands: a small bag of the demonstration clip, with its truth.

`image/compressed`, `camera_info` and `truth` (HandMeshArray, without meshes) of its first frames.
The clip is our own rendering; its motion is known to `make_demo_clip`. Needs ROS 2 and [train].

    python scripts/make_replay_bag.py
"""

from __future__ import annotations

import array
import sys
from pathlib import Path

import cv2
import numpy as np
from make_demo_clip import ASSETS, HEIGHT, INTRINSICS, LEFT, RATE_HZ, RIGHT, STEPS, WIDTH, Motion
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.msg import HandMesh, HandMeshArray
from handmesh_ros.ros.bag.bags import BagWriter
from handmesh_ros.training.synthesis.scene import SceneSampler
from handmesh_ros.training.synthesis.surface import pose_hand

BAG = Path(__file__).resolve().parent.parent / "test" / "ros" / "bag" / "bags" / "two_hands"
FRAMES, SCALE, JPEG_QUALITY = 24, 0.5, 75
START_NS = 1_700_000_000_000_000_000
SEED = 3
"""That of the clip's skin and hand shape."""

SHUTTER_MIDDLE = 3


def hand_shape() -> np.ndarray:
    """Return the shape of the clip's hands, which `Clip` draws after their skin."""
    template, render = HandTemplate.bundled(), HandTemplate.bundled_render()
    rng = np.random.default_rng(SEED)
    SceneSampler(template, render, WIDTH, HEIGHT, None).skins.sample(rng)
    return rng.normal(0, 0.5, template.shape_dirs.shape[2:])


def truth_message(
    number: int, motions: tuple[Motion, ...], shape: np.ndarray, header: Header
) -> HandMeshArray:
    """Return the true hands of a frame, in pixels of the smaller image and camera metres."""
    model = HandTemplate.bundled()
    intrinsics = scaled_intrinsics()
    message = HandMeshArray(header=header, intrinsics=intrinsics, calibrated=True)
    message.model_id = "truth"
    for track_id, motion in enumerate(motions, start=1):
        step = number * STEPS + SHUTTER_MIDDLE
        rotations = motion.rotations(step, model.joint_template)
        surface = pose_hand(model, rotations, shape, motion.is_right, motion.places[step])
        joints = surface.keypoints(model.fingertips)
        pixels = joints[:, :2] / joints[:, 2:] * intrinsics[:2] + intrinsics[2:]
        message.hands.append(
            HandMesh(
                track_id=track_id,
                handedness=int(motion.is_right),
                joints=joints.astype(np.float32).ravel(),
                keypoints_2d=pixels.astype(np.float32).ravel(),
            )
        )
    return message


def scaled_intrinsics() -> np.ndarray:
    """Return (4,) fx, fy, cx, cy of the smaller image."""
    return np.concatenate([INTRINSICS[:2] * SCALE, (INTRINSICS[2:] + 0.5) * SCALE - 0.5])


def main() -> int:
    """Write the bag; return the exit status."""
    shape, motions = hand_shape(), (Motion(RIGHT, True, 1), Motion(LEFT, False, 2))
    fx, fy, cx, cy = scaled_intrinsics()
    video = cv2.VideoCapture(str(ASSETS / "demo.mp4"))
    size = round(WIDTH * SCALE), round(HEIGHT * SCALE)
    try:
        with BagWriter(BAG, "mcap") as bag:
            for number in range(FRAMES):
                stamp_ns = START_NS + round(1e9 * number / RATE_HZ)
                header = Header(frame_id="camera_optical_frame")
                header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, 10**9)
                small = cv2.resize(video.read()[1], size, interpolation=cv2.INTER_AREA)
                quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
                encoded = cv2.imencode(".jpg", small, quality)[1].tobytes()
                info = CameraInfo(header=header, width=size[0], height=size[1])
                info.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
                for topic, message in (
                    ("/camera/camera_info", info),
                    (
                        "/camera/image/compressed",
                        CompressedImage(
                            header=header, format="jpeg", data=array.array("B", encoded)
                        ),
                    ),
                    ("/truth", truth_message(number, motions, shape, header)),
                ):
                    bag.write(topic, stamp_ns, message)
    except HandmeshError as error:
        print(f"make_replay_bag: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

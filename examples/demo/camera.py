"""A camera node that plays photos, folders, videos or a real camera at 30 Hz.

It publishes `image`, `camera_info` and, while somebody subscribes to it, `image/compressed`.
Only a source whose intrinsics are known (NAME.json beside it with `fx`, `fy`, `cx`, `cy`,
`width` and `height` in pixels) has a calibrated camera_info; the others have zeros in K, as
uncalibrated drivers do.
"""

from __future__ import annotations

import argparse
import array
import json
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import repeat
from pathlib import Path

try:
    import cv2
    import numpy as np
    import rclpy
    from rclpy.node import Node
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import CameraInfo, CompressedImage, Image
    from std_msgs.msg import Header

    from handmesh_ros.errors import HandmeshError
    from handmesh_ros.media.sources import find_sources, read_frames
    from handmesh_ros.ros.conversions.messages import image_message
except KeyboardInterrupt:
    sys.exit(130)

FRAME_ID = "camera_optical_frame"
RATE_HZ = 30.0
PHOTO_FRAMES = 30
"""A photo among others is shown for this many frames."""

MAX_SIDE_PX = 1280
JPEG_QUALITY = 90
SUBSCRIBER_TIMEOUT_S = 30.0
DISCOVERY_S = 3.0
"""After somebody wants images, for somebody who records them."""


def open_source(source: str) -> Iterator[np.ndarray]:
    """Yield the images of a source, (H, W, 3) uint8 RGB.

    Args:
        source: a photo, a folder, a video, or /dev/videoN.

    Raises:
        HandmeshError: the source cannot be read.
    """
    if source.startswith("/dev/video"):
        yield from _read_device(source)
        return
    items, broken = find_sources(Path(source)), 0
    for item in items:
        try:
            for frame in read_frames(item):
                image = _shrink(frame.image)
                yield from repeat(image, 1 if item.is_video else PHOTO_FRAMES)
        except HandmeshError as problem:
            broken += 1
            if broken == len(items):
                raise
            print(f"camera: {problem}", file=sys.stderr)


@dataclass(frozen=True)
class Calibration:
    """A pinhole camera: focal lengths and principal point in pixels of images of its size."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int


def read_calibration(source: str) -> Calibration | None:
    """Return the calibration in NAME.json beside the source, or None where there is none."""
    names = [field.name for field in fields(Calibration)]
    try:
        content = json.loads(Path(source).with_suffix(".json").read_text())
        return Calibration(**{name: content[name] for name in names})
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Camera(Node):
    """Publishes images as a camera driver does.

    Args:
        calibration: of the camera, or None where it is not known.
    """

    def __init__(self, calibration: Calibration | None) -> None:
        super().__init__("camera")
        self._calibration = calibration
        self._image = self.create_publisher(
            Image, "image", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        )
        self._info = self.create_publisher(CameraInfo, "camera_info", 30)
        self._compressed = self.create_publisher(CompressedImage, "image/compressed", 30)

    def wait_for_subscriber(self) -> bool:
        """Wait until somebody wants images; return whether somebody does."""
        deadline = time.monotonic() + SUBSCRIBER_TIMEOUT_S
        while not self._image.get_subscription_count() and time.monotonic() < deadline:
            time.sleep(0.05)
        deadline = min(deadline, time.monotonic() + DISCOVERY_S)
        while not self._compressed.get_subscription_count() and time.monotonic() < deadline:
            time.sleep(0.05)
        return self._image.get_subscription_count() > 0

    def show(self, rgb: np.ndarray) -> None:
        """Publish one image, taken now."""
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=FRAME_ID)
        self._info.publish(self._camera_info(header, rgb.shape[:2]))
        self._image.publish(image_message(rgb, header))
        if self._compressed.get_subscription_count():
            bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
            jpeg = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1]
            data = array.array("B", jpeg.tobytes())
            message = CompressedImage(
                header=header, format="rgb8; jpeg compressed bgr8", data=data
            )
            self._compressed.publish(message)

    def _camera_info(self, header: Header, size: tuple[int, int]) -> CameraInfo:
        camera = self._calibration
        if camera is None:
            return CameraInfo(header=header, height=size[0], width=size[1])
        fx, fy, cx, cy = (float(value) for value in (camera.fx, camera.fy, camera.cx, camera.cy))
        return CameraInfo(
            header=header,
            height=camera.height,
            width=camera.width,
            distortion_model="plumb_bob",
            d=[0.0] * 5,
            k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
            r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
        )


def play(camera: Camera, source: str, seconds: float | None) -> int:
    """Play the source at `RATE_HZ`; return how many images were shown.

    Args:
        camera: the node.
        source: as of `open_source`.
        seconds: how long, over and over; None plays it once.
    """
    shown, start = 0, time.monotonic()
    while True:
        for image in open_source(source):
            time.sleep(max(0.0, start + shown / RATE_HZ - time.monotonic()))
            # A source that cannot keep up is a slower camera, not one that catches up in bursts.
            start = max(start, time.monotonic() - (shown + 1) / RATE_HZ)
            camera.show(image)
            shown += 1
            if seconds is not None and shown >= seconds * RATE_HZ:
                return shown
        if seconds is None:
            return shown


def main() -> int:
    """Run the node; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True)
    parser.add_argument("--seconds", type=float)
    options, ros_arguments = parser.parse_known_args()
    # A shell may have started us with interrupts ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rclpy.init(args=ros_arguments, signal_handler_options=SignalHandlerOptions.NO)
    try:
        camera = Camera(read_calibration(options.source))
        if not camera.wait_for_subscriber():
            raise HandmeshError("Nobody subscribed to the images: is the detector running?")
        play(camera, options.source, options.seconds)
    except HandmeshError as problem:
        print(f"camera: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        rclpy.try_shutdown()
    return 0


def _read_device(source: str) -> Iterator[np.ndarray]:
    capture = cv2.VideoCapture(source)
    if not capture.isOpened():
        raise HandmeshError(
            f"The camera {source} cannot be opened: is it there, free, and may you read it?"
        )
    try:
        while True:
            is_read, bgr = capture.read()
            if not is_read:
                raise HandmeshError(f"The camera {source} stopped sending images.")
            yield _shrink(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
    finally:
        capture.release()


def _shrink(rgb: np.ndarray) -> np.ndarray:
    scale = MAX_SIDE_PX / max(rgb.shape[:2])
    if scale >= 1.0:
        return rgb
    return cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    sys.exit(main())

"""What the demonstration leaves behind: drawings and a bag."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from examples.demo.camera import RATE_HZ
from examples.demo.listener import TOPICS, Recording
from handmesh_ros.inference.preprocess import Letterbox
from handmesh_ros.msg import HandTopology
from handmesh_ros.ros.bag.bags import message_types, type_name
from handmesh_ros.ros.conversions.images import compressed_to_rgb
from handmesh_ros.ros.conversions.messages import message_to_hands
from handmesh_ros.visualization.draw import draw_hands


def write_bag(recording: Recording, folder: Path, namespace: str) -> Path:
    """Write a rosbag2 bag (MCAP) and return its folder."""
    store = message_types()
    path = folder / "bag"
    bag = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
    bag.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with bag as writer:
        connections = {
            topic: writer.add_connection(f"{namespace}/{topic}", type_name(kind), typestore=store)
            for topic, kind in TOPICS.items()
        }
        for topic, arrived_ns, serialized in recording.messages:
            writer.write(connections[topic], arrived_ns, serialized)
    return path


def write_drawings(
    recording: Recording, topology: HandTopology, folder: Path, *, as_video: bool
) -> list[Path]:
    """Draw the hands on the images.

    Args:
        recording: of the run.
        topology: of the hands' meshes.
        folder: for the drawings.
        as_video: make one video, in the size of its first image; else one picture of each
            different image.

    Returns:
        The files.
    """
    faces = np.array(topology.triangles_right, np.int32).reshape(-1, 3)
    stamps = [stamp for stamp in recording.images if stamp in recording.hands]
    if not as_video:
        photos = {recording.images[stamp].data.tobytes(): stamp for stamp in stamps}
        files = []
        for number, stamp in enumerate(photos.values()):
            files.append(folder / f"overlay_{number:03}.png")
            cv2.imwrite(str(files[-1]), _draw(recording, stamp, faces))
        return files
    path = folder / "overlay.mp4"
    video = None
    for stamp in stamps:
        drawn = _draw(recording, stamp, faces)
        if video is None:
            size = (drawn.shape[1], drawn.shape[0])
            video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE_HZ, size)
        if (drawn.shape[1], drawn.shape[0]) != size:
            canvas: np.ndarray = np.zeros((size[1], size[0], 3), np.uint8)
            Letterbox.fit(drawn.shape[:2], canvas.shape[:2]).render(drawn, canvas)
            drawn = canvas
        video.write(drawn)
    if video is not None:
        video.release()
    return [path]


def _draw(recording: Recording, stamp_ns: int, faces: np.ndarray) -> np.ndarray:
    """Return the image with its hands, BGR."""
    rgb = compressed_to_rgb(recording.images[stamp_ns])
    message = recording.hands[stamp_ns]
    drawn = draw_hands(rgb, message_to_hands(message), faces=faces, intrinsics=message.intrinsics)
    return cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)

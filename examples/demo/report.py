"""What the demonstration leaves behind: drawings, a page to look at and a bag."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from examples.demo.camera import RATE_HZ
from examples.demo.listener import TOPICS, Recording
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.preprocess import Letterbox
from handmesh_ros.media.sources import Source
from handmesh_ros.media.videos import Frame
from handmesh_ros.msg import HandTopology
from handmesh_ros.report.collector import ReportCollector
from handmesh_ros.report.page import write_page
from handmesh_ros.ros.bag.bags import message_types, type_name
from handmesh_ros.ros.conversions.images import compressed_to_rgb
from handmesh_ros.ros.conversions.messages import message_to_hands
from handmesh_ros.visualization.draw import draw_hands
from handmesh_ros.visualization.outputs import Found

MAX_REPORTED_IMAGES = 300


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
    stamps = _stamps(recording, as_video=as_video)
    if not as_video:
        files = []
        for number, stamp in enumerate(stamps):
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


def write_report(
    recording: Recording, topology: HandTopology, folder: Path, *, as_video: bool
) -> Path:
    """Write the page of `handmesh report` about the images that were recorded; return its path.

    Of a long recording it shows some images, at even distances; arguments as of `write_drawings`.
    """
    stamps = _stamps(recording, as_video=as_video)
    stamps = stamps[:: -(-len(stamps) // MAX_REPORTED_IMAGES)]
    faces = np.array(topology.triangles_right, np.int32).reshape(-1, 3)
    template = replace(HandTemplate.bundled(), faces=faces, cap_faces=np.zeros((0, 3), np.int32))
    source = Source(Path("demo"), Path("demo"))
    collector = ReportCollector(len(stamps))
    with collector.writing(source):
        for number, stamp in enumerate(stamps):
            message = recording.hands[stamp]
            found = Found(
                source,
                Frame(
                    compressed_to_rgb(recording.images[stamp]), number, (stamp - stamps[0]) / 1e9
                ),
                message_to_hands(message),
                np.array([hand.track_id for hand in message.hands], np.uint32),
                np.array(message.intrinsics),
                template,
                message.latency.age_ms,
            )
            collector.add(found)
    path = folder / "report.html"
    data = collector.data("Hands of the demonstration", {"times": "from capture to publication"})
    write_page(path, data, collector.kept())
    return path


def _stamps(recording: Recording, *, as_video: bool) -> list[int]:
    """Return the stamps of all images with a result, or the last of each different image."""
    stamps = [stamp for stamp in recording.images if stamp in recording.hands]
    if as_video:
        return stamps
    return list({recording.images[stamp].data.tobytes(): stamp for stamp in stamps}.values())


def _draw(recording: Recording, stamp_ns: int, faces: np.ndarray) -> np.ndarray:
    """Return the image with its hands, BGR."""
    rgb = compressed_to_rgb(recording.images[stamp_ns])
    message = recording.hands[stamp_ns]
    drawn = draw_hands(rgb, message_to_hands(message), faces=faces, intrinsics=message.intrinsics)
    return cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)

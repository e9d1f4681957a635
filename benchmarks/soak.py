"""Runs the detector at 30 Hz for an hour and watches its memory, its rate and what it drops.

The detector is a process of its own, all its outputs are subscribed, the demonstration clip is
played to it again and again. Ends with status 1 when its memory grows, is too much, or it dies.

    make soak                # an hour
    make soak MINUTES=5
    make soak MINUTES=0.5    # its resident memory at work
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

import handmesh_ros
from handmesh_ros.errors import HandmeshError
from handmesh_ros.msg import HandMeshArray
from handmesh_ros.ros.conversions.messages import image_message

CLIP = Path(handmesh_ros.__file__).parent / "assets" / "demo.mp4"
INTRINSICS = (560.0, 560.0, 319.5, 239.5)
RATE_HZ = 30.0
NAMESPACE = "/soak"
OTHER_OUTPUTS = {
    "hands_raw": HandMeshArray,
    "wrists": PoseArray,
    "markers": MarkerArray,
    "overlay": Image,
    "points": PointCloud2,
}
SAMPLES = 240
"""Measurements of memory in a run."""

START_TIMEOUT_S = 60.0
MEGABYTES_PER_MIB = 2**20 / 1e6
WARM_UP = 0.2
"""Part of the run whose memory does not count: buffers and caches fill."""


def resident_mib(process_id: int) -> float:
    """Return the resident memory of a process.

    Raises:
        HandmeshError: there is no such process any more.
    """
    try:
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
        kilobytes = next(line for line in lines if line.startswith("VmRSS")).split()[1]
    except (OSError, StopIteration) as error:
        raise HandmeshError("the detector has ended: see its messages above") from error
    return int(kilobytes) / 1024


def growth_mib(samples: Sequence[float]) -> float:
    """Return by how much memory grew after the warm-up.

    Medians of the first and the last third: one garbage collection more or less does not matter.

    Args:
        samples: MiB, evenly spaced in time.
    """
    settled = np.asarray(samples[int(WARM_UP * len(samples)) :], float)
    third = max(1, len(settled) // 3)
    return float(np.median(settled[-third:]) - np.median(settled[:third]))


class Camera(Node):
    """Plays the clip at 30 Hz and counts what comes back."""

    def __init__(self) -> None:
        super().__init__("camera", namespace=NAMESPACE)
        self.sent = self.received = 0
        self.ages_ms: list[float] = []
        self.diagnostics: dict[str, str] = {}
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._image = self.create_publisher(Image, "image", qos)
        self._info = self.create_publisher(CameraInfo, "camera_info", qos)
        self._frames = _frames()
        self.create_subscription(HandMeshArray, "hands", self._on_hands, 10)
        for topic, kind in OTHER_OUTPUTS.items():
            self.create_subscription(kind, topic, lambda data: None, 10, raw=True)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def is_heard(self) -> bool:
        """Return whether the detector has subscribed."""
        return self._image.get_subscription_count() > 0

    def start(self) -> None:
        """Begin to play."""
        self.create_timer(1.0 / RATE_HZ, self._send)

    def _send(self) -> None:
        header = Header(frame_id="camera", stamp=self.get_clock().now().to_msg())
        frame = next(self._frames)
        height, width = frame.shape[:2]
        fx, fy, cx, cy = INTRINSICS
        k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
        self._info.publish(CameraInfo(header=header, height=height, width=width, k=k))
        self._image.publish(image_message(frame, header))
        self.sent += 1

    def _on_hands(self, message: HandMeshArray) -> None:
        self.received += 1
        self.ages_ms.append(message.latency.age_ms)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.hardware_id.startswith(NAMESPACE):
                self.diagnostics = {pair.key: pair.value for pair in status.values}


def _frames() -> Iterator[np.ndarray]:
    """Yield the clip's images for ever, (480, 640, 3) uint8 RGB."""
    while True:
        video = cv2.VideoCapture(str(CLIP))
        while True:
            good, bgr = video.read()
            if not good:
                break
            yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        video.release()


def soak(camera: Camera, process: subprocess.Popen, minutes: float) -> list[float]:
    """Play for so long; return the memory of the detector over time, MiB.

    Raises:
        HandmeshError: the detector does not start, or ends.
    """
    executor = SingleThreadedExecutor()
    executor.add_node(camera)
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not camera.is_heard():
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise HandmeshError("the detector does not start: see its messages above")
        executor.spin_once(timeout_sec=0.1)
    camera.start()
    samples: list[float] = []
    start_s, duration_s = time.monotonic(), 60.0 * minutes
    told_minutes = 0
    while (passed_s := time.monotonic() - start_s) < duration_s:
        executor.spin_once(timeout_sec=0.1)
        if passed_s >= len(samples) * duration_s / SAMPLES:
            samples.append(resident_mib(process.pid))
        if passed_s >= 60.0 * (told_minutes + 1):
            told_minutes += 1
            recent = camera.ages_ms[-round(60 * RATE_HZ) :] or [float("nan")]
            print(
                f"{told_minutes:3} min: {camera.received / passed_s:.1f} Hz, "
                f"age p95 {np.percentile(recent, 95):.0f} ms, {samples[-1]:.1f} MiB",
                flush=True,
            )
    return samples


def summary(camera: Camera, samples: Sequence[float], minutes: float) -> list[str]:
    """Return the lines for the end."""
    ages, dropped = camera.ages_ms or [float("nan")], "images dropped for newer ones"
    apart_minutes = (1 - WARM_UP) * 2 / 3 * minutes
    return [
        f"images sent     {camera.sent} in {minutes:g} min ({camera.sent / minutes / 60:.1f} Hz)",
        f"results         {camera.received} ({camera.received / minutes / 60:.1f} Hz)",
        f"dropped         {camera.diagnostics.get(dropped, 'unknown')} for newer ones, "
        f"{camera.diagnostics.get('images failed', 'unknown')} failed",
        f"age             p50 {np.percentile(ages, 50):.1f} ms, p95 {np.percentile(ages, 95):.1f} "
        f"ms, p99 {np.percentile(ages, 99):.1f} ms",
        f"memory          {samples[0]:.1f} MiB at first, {samples[-1]:.1f} MiB at the end, "
        f"largest {max(samples):.1f} MiB ({MEGABYTES_PER_MIB * max(samples):.0f} MB)",
        f"growth          {growth_mib(samples):+.2f} MiB in {apart_minutes:.0f} min, after the "
        "warm-up",
    ]


def main() -> int:
    """Run it; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="(%(default)g)")
    parser.add_argument("--limit", type=float, default=8.0, help="of growth, MiB (%(default)g)")
    parser.add_argument(
        "-p", "--param", action="append", default=[], help="NAME:=VALUE of the detector"
    )
    parser.add_argument(
        "--most", type=float, default=400.0, help="of resident memory, MB (%(default)g)"
    )
    parser.add_argument("--model", default="", help=".onnx (the bundled model)")
    options = parser.parse_args()
    if not 0.1 <= options.minutes < float("inf"):
        print(f"soak: --minutes is {options.minutes:g}: give at least 0.1.", file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "handmesh_ros.ros", "--ros-args", "-r", f"__ns:={NAMESPACE}"]
    if options.model:
        command += ["-p", f"model:={options.model}"]
    for setting in options.param:
        command += ["-p", setting]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    process = subprocess.Popen(command)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    camera = Camera()
    try:
        samples = soak(camera, process, options.minutes)
    except HandmeshError as problem:
        print(f"soak: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("soak: interrupted", file=sys.stderr)
        return 130
    finally:
        camera.destroy_node()
        rclpy.try_shutdown()
        process.send_signal(signal.SIGINT)
        process.wait(30.0)
    print("\n".join(summary(camera, samples, options.minutes)))
    if growth_mib(samples) > options.limit:
        print(f"soak: memory grew by more than {options.limit:g} MiB", file=sys.stderr)
        return 1
    if MEGABYTES_PER_MIB * max(samples) > options.most:
        print(f"soak: resident memory was above {options.most:g} MB", file=sys.stderr)
        return 1
    if not camera.received:
        print("soak: no results came", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What tracking, filtering and messages of six hands cost: `python -m benchmarks.node_speed`.

Wall time: it needs an idle core.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from std_msgs.msg import Header

from benchmarks.scenes import CENTRE_PX, FOCAL_PX, RATE_HZ, SIZE_PX, Stage
from benchmarks.tracking import FIRST_HELD_OUT_SEED, scenes
from handmesh_ros.msg import LatencyBreakdown
from handmesh_ros.ros.conversions.messages import hand_array, wrists_to_bytes
from handmesh_ros.tracking.tracker import Tracker

PARTS = ("tracking and filtering", "messages", "both")


def step_ms(images: int) -> np.ndarray:
    """Return how long tracking and messages of six hands with meshes took.

    Returns:
        (images, 2) milliseconds of the tracker and of the messages.
    """
    stage = Stage(seed=FIRST_HELD_OUT_SEED, with_mesh=True)
    frames = list(stage.play(scenes()["six hands"][0], images / RATE_HZ))
    header, size = Header(), (int(SIZE_PX[1]), int(SIZE_PX[0]))
    intrinsics = np.array([FOCAL_PX, FOCAL_PX, *CENTRE_PX])
    tracker, moments = Tracker(), []
    for frame in frames:
        begin = time.perf_counter()
        tracked = tracker.update(frame.found, frame.stamp_s)
        between = time.perf_counter()
        array = hand_array(tracked, header, image_size=size, intrinsics=intrinsics)
        array.to_bytes(LatencyBreakdown())
        wrists_to_bytes(array)
        moments.append((begin, between, time.perf_counter()))
    return 1e3 * np.diff(moments, axis=1)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.node_speed")
    parser.add_argument("--images", type=int, default=450)
    times = step_ms(parser.parse_args().images)
    for name, of in zip(PARTS, (*times.T, times.sum(1)), strict=True):
        median, slow = np.percentile(of, (50, 99))
        print(f"{name:24s} p50 {median:.2f} ms, p99 {slow:.2f} ms, least {of.min():.2f} ms")


if __name__ == "__main__":
    main()

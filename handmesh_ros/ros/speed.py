"""What tracking, filtering and messages of six hands cost: `python -m handmesh_ros.ros.speed`.

Wall time, which needs an idle core, and the thread's own time, which other processes disturb less.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from std_msgs.msg import Header

from handmesh_ros.ros.messages import hands_to_message, wrists_message
from handmesh_ros.temporal.benchmark import FIRST_HELD_OUT_SEED, scenes
from handmesh_ros.temporal.scenes import CENTRE_PX, FOCAL_PX, SIZE_PX, Stage
from handmesh_ros.temporal.tracker import Tracker

PARTS = ("tracking and filtering", "messages", "both")


def step_ms(repeats: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how long tracking and messages of six hands with meshes took.

    Args:
        repeats: number of images; those of one second come again and again.

    Returns:
        (repeats, 2) wall time and (repeats, 2) the thread's time, milliseconds: of the tracker,
        of the messages.
    """
    actors = scenes()["six hands"][0]
    stage = Stage(seed=FIRST_HELD_OUT_SEED, with_mesh=True)
    frames = list(stage.play(actors, 1.0))
    header, size = Header(), (int(SIZE_PX[1]), int(SIZE_PX[0]))
    intrinsics = np.array([FOCAL_PX, FOCAL_PX, *CENTRE_PX])
    tracker, wall, own = Tracker(), [], []
    for number in range(repeats):
        found = frames[number % len(frames)].found
        moments = [(time.perf_counter(), time.thread_time())]
        tracked = tracker(found, number / 30.0)
        moments.append((time.perf_counter(), time.thread_time()))
        message = hands_to_message(tracked, header, image_size=size, intrinsics=intrinsics)
        wrists_message(message)
        moments.append((time.perf_counter(), time.thread_time()))
        took = 1e3 * np.diff(moments, axis=0)
        wall.append(took[:, 0])
        own.append(took[:, 1])
    return np.array(wall), np.array(own)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m handmesh_ros.ros.speed")
    parser.add_argument("--repeats", type=int, default=600)
    wall, own = step_ms(parser.parse_args().repeats)
    for index, name in enumerate(PARTS):
        of = [times.sum(1) if index == 2 else times[:, index] for times in (wall, own)]
        (wall_50, wall_99), (own_50, _) = (np.percentile(times, (50, 99)) for times in of)
        print(
            f"{name:24s} wall p50 {wall_50:.2f} ms, p99 {wall_99:.2f} ms; own p50 {own_50:.2f} ms"
        )


if __name__ == "__main__":
    main()

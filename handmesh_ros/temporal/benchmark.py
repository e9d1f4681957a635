"""How good the tracker is on scenes with truth: `python -m handmesh_ros.temporal.benchmark`.

IDF1 (Ristani et al., 2016), MOTA (Bernardin and Stiefelhagen, 2008) and HOTA are TrackEval's:
`pip install 'handmesh_ros[benchmark]'`. Jitter, lag and time need nothing more.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.temporal.scenes import Actor, Frame, Noise, Stage
from handmesh_ros.temporal.tracker import State, TrackedHands, Tracker
from handmesh_ros.temporal.tracks import Filters

SAME_HAND_M = 0.1
"""A reported and a true wrist further apart are not the same hand."""

Path3 = Callable[[float], np.ndarray]


def swing(
    centre: tuple[float, float, float],
    reach: tuple[float, float, float],
    period_s: float,
    phase: float = 0.0,
) -> Path3:
    """Return the path of a hand that swings about a point, metres."""
    middle, width = np.array(centre), np.array(reach)
    return lambda time_s: middle + width * np.sin(2 * np.pi * time_s / period_s + phase)


def scenes() -> dict[str, tuple[list[Actor], float]]:
    """Return actors and duration in seconds of every scene."""

    def crossing(right: bool) -> list[Actor]:
        return [
            Actor(True, swing((0.0, 0.05, 0.65), (0.2, 0.0, 0.0), 3.0), phase=0.0),
            Actor(right, swing((0.0, 0.02, 0.5), (-0.17, 0.03, 0.0), 3.0), phase=2.0),
        ]

    def meeting(time_s: float) -> float:
        return 0.05 + 0.15 * abs(np.cos(2 * np.pi * time_s / 6.0))

    touching = [
        Actor(True, lambda t: np.array([meeting(t), 0.05, 0.6]), phase=0.5),
        Actor(False, lambda t: np.array([-meeting(t), 0.05, 0.6]), phase=-0.5),
    ]
    leaving = [
        Actor(True, swing((0.25, 0.0, 0.6), (0.4, 0.0, 0.0), 8.0)),
        Actor(False, swing((-0.1, 0.05, 0.7), (0.1, 0.0, 0.05), 5.0), phase=1.0),
    ]
    occluded = [
        Actor(True, swing((0.1, 0.0, 0.6), (0.1, 0.02, 0.0), 4.0), lambda t: t % 2.0 > 1.5),
        Actor(
            False, swing((-0.15, 0.0, 0.6), (0.06, 0.05, 0.05), 3.0), lambda t: 0.4 < t % 2.5 < 0.9
        ),
    ]
    fast = [
        Actor(True, swing((0.0, -0.05, 0.8), (0.3, 0.0, 0.0), 0.75), phase=0.3),
        Actor(False, swing((0.0, 0.15, 0.8), (0.0, 0.12, 0.15), 0.6), phase=1.3),
    ]
    crowd = [
        Actor(
            index % 2 == 0,
            swing(
                (0.24 * (index % 3 - 1), 0.25 * (index // 3) - 0.05, 0.75),
                (0.13, 0.05, 0.08),
                2.5 + 0.7 * index,
                1.9 * index,
            ),
            phase=float(index),
            size=0.85 + 0.06 * index,
        )
        for index in range(6)
    ]
    return {
        "crossing, left and right": (crossing(right=False), 12.0),
        "crossing, two right hands": (crossing(right=True), 12.0),
        "touching": (touching, 12.0),
        "leaving and returning": (leaving, 16.0),
        "occluded for 0.5 s": (occluded, 12.0),
        "fast (2.5 m/s)": (fast, 10.0),
        "six hands": (crowd, 12.0),
    }


def identity_scores(frames: Iterable[Frame], reports: Iterable[TrackedHands]) -> dict[str, float]:
    """Return IDF1, MOTA and HOTA in [0, 1] (MOTA may be below 0) and the identity switches.

    Predicted hands count as reported and occluded ones as true. The similarity of two wrists falls
    linearly from 1 to 0 at twice `SAME_HAND_M`.

    Raises:
        HandmeshError: TrackEval is not installed.
    """
    try:
        from trackeval.metrics import CLEAR, HOTA, Identity
    except ImportError as error:
        raise HandmeshError(
            "TrackEval, which computes IDF1 and MOTA, is not installed: "
            "pip install 'handmesh_ros[benchmark]'."
        ) from error
    true_names: dict[int, int] = {}
    names: dict[int, int] = {}
    data: dict = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    for frame, report in zip(frames, reports, strict=True):
        shown = np.flatnonzero(report.state != State.LOST)
        true_ids = [true_names.setdefault(int(i), len(true_names)) for i in frame.identity]
        ids = [names.setdefault(int(i), len(names)) for i in report.track_id[shown]]
        apart = frame.truth.translation[:, None] - report.hands.translation[shown][None]
        near = 1.0 - np.linalg.norm(apart, axis=-1) / (2.0 * SAME_HAND_M)
        data["gt_ids"].append(np.array(true_ids, int))
        data["tracker_ids"].append(np.array(ids, int))
        data["similarity_scores"].append(np.maximum(near, 0.0))
    data["num_timesteps"] = len(data["gt_ids"])
    data["num_gt_ids"], data["num_tracker_ids"] = len(true_names), len(names)
    data["num_gt_dets"] = sum(map(len, data["gt_ids"]))
    data["num_tracker_dets"] = sum(map(len, data["tracker_ids"]))
    quiet = {"PRINT_CONFIG": False}
    clear = CLEAR({**quiet, "THRESHOLD": 0.5}).eval_sequence(data)
    identity = Identity({**quiet, "THRESHOLD": 0.5}).eval_sequence(data)
    hota = HOTA().eval_sequence(data)
    return {
        "IDF1": float(identity["IDF1"]),
        "MOTA": float(clear["MOTA"]),
        "HOTA": float(np.mean(hota["HOTA"])),
        "switches": float(clear["IDSW"]),
    }


def still_jitter_mm(filters: Filters, seconds: float = 10.0) -> float:
    """Return the RMS of the wrist about its mean, millimetres, of a hand that does not move."""
    path = swing((0.05, 0.03, 0.6), (0.0, 0.0, 0.0), 1.0)
    wrists = _wrists(path, filters, Noise(miss=0.0, wrong_side=0.0, false_hands=0.0), seconds)[0]
    settled = wrists[len(wrists) // 5 :]
    return 1e3 * float(np.sqrt(((settled - settled.mean(0)) ** 2).sum(1).mean()))


def lag_ms(filters: Filters, speed_m_s: float) -> float:
    """Return by how much a moving hand is behind itself, milliseconds, when nothing is noisy.

    The hand swings across the image over 0.4 m; the lag is the shift in time that explains its
    path best.

    Args:
        filters: smoothing.
        speed_m_s: its greatest speed.
    """
    reach = 0.2
    path = swing((0.0, 0.0, 0.6), (reach, 0.0, 0.0), 2 * np.pi * reach / speed_m_s)
    wrists, stamps = _wrists(path, filters, Noise(*[0.0] * 7), 5.0)
    late = np.arange(0.0, 0.15, 1e-3)
    found = wrists[30:, 0]
    errors = [
        np.abs(found - [path(stamp - shift)[0] for stamp in stamps[30:]]).mean() for shift in late
    ]
    return 1e3 * float(late[int(np.argmin(errors))])


def _wrists(
    path: Path3, filters: Filters, noise: Noise, seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    tracker = Tracker()
    wrists, stamps = [], []
    for frame in Stage(noise, seed=3).play([Actor(True, path)], seconds):
        wrists.append(tracker(frame.found, frame.stamp_s, filters=filters).hands.translation[0])
        stamps.append(frame.stamp_s)
    return np.array(wrists, float), np.array(stamps)


def step_ms(repeats: int = 300) -> tuple[float, float]:
    """Return median and 99th percentile of one call for six hands, milliseconds."""
    frames = list(Stage(seed=1, with_mesh=True).play(scenes()["six hands"][0], 1.0))
    tracker, times = Tracker(), []
    for number in range(repeats):
        found = frames[number % len(frames)].found
        start = time.perf_counter()
        tracker(found, number / 30.0)
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times)), float(np.percentile(times, 99))


def main(arguments: list[str] | None = None) -> int:
    """Print all figures; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m handmesh_ros.temporal.benchmark")
    parser.add_argument("--seed", type=int, default=0, help="of the detector's errors")
    seed = parser.parse_args(arguments).seed
    print("scene                        IDF1    MOTA    HOTA  switches")
    try:
        everything = [
            (name, identity_scores(*run(actors, duration_s, seed)))
            for name, (actors, duration_s) in scenes().items()
        ]
    except HandmeshError as problem:
        print(problem, file=sys.stderr)
        return 1
    for name, scores in everything:
        print(
            f"{name:26s} {scores['IDF1']:6.3f}  {scores['MOTA']:6.3f}  {scores['HOTA']:6.3f}"
            f"  {scores['switches']:4.0f}"
        )
    mean = {key: np.mean([scores[key] for _, scores in everything]) for key in ("IDF1", "MOTA")}
    print(f"{'mean':26s} {mean['IDF1']:6.3f}  {mean['MOTA']:6.3f}")
    for label, filters in (("raw", Filters.off()), ("filtered", Filters())):
        lags = ", ".join(f"{lag_ms(filters, v):.0f} ms at {v:g} m/s" for v in (0.2, 0.5, 1.0))
        print(
            f"{label:9s} jitter of a still hand {still_jitter_mm(filters):.2f} mm RMS, lag {lags}"
        )
    median, slowest = step_ms()
    print(f"six hands: {median:.2f} ms p50, {slowest:.2f} ms p99")
    return 0


def run(
    actors: list[Actor], duration_s: float, seed: int = 0
) -> tuple[list[Frame], list[TrackedHands]]:
    """Play a scene to a tracker; return its images and what the tracker said to each."""
    frames = list(Stage(seed=seed).play(actors, duration_s))
    tracker = Tracker()
    return frames, [tracker(frame.found, frame.stamp_s) for frame in frames]


if __name__ == "__main__":
    sys.exit(main())

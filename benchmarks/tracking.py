"""How good the tracker is on scenes with truth: `python -m benchmarks.tracking`.

IDF1 (Ristani et al., 2016), MOTA (Bernardin and Stiefelhagen, 2008) and HOTA are TrackEval's:
`pip install '.[benchmark]'`. All else needs nothing more. A seed gives both
how the scenes are played and the detector's errors; settings are chosen on seeds below
`FIRST_HELD_OUT_SEED` and reported on those from there on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from benchmarks.drawn_depth import drawn_depth, spoiled
from benchmarks.scenes import (
    CENTRE_PX,
    FOCAL_PX,
    NO_NOISE,
    SIZE_PX,
    STILL_NOISE,
    Actor,
    Noise,
    SceneFrame,
    Stage,
    is_inside,
)
from handmesh_ros.depth.scale import measure_scale, with_depth
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import State
from handmesh_ros.tracking.tracker import TrackedHands, Tracker
from handmesh_ros.tracking.tracks import Filters

FIRST_HELD_OUT_SEED = 100

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


def identity_scores(
    frames: Iterable[SceneFrame], reports: Iterable[TrackedHands]
) -> dict[str, float]:
    """Return IDF1, MOTA and HOTA in [0, 1] (MOTA may be below 0) and the identity switches.

    Predicted hands count as reported and occluded ones as true; both only inside the image. The
    similarity of two wrists falls linearly from 1 to 0 at twice `SAME_HAND_M`.

    Raises:
        HandmeshError: TrackEval is not installed.
    """
    images = []
    for frame, report in zip(frames, reports, strict=True):
        shown = np.flatnonzero((report.state != State.LOST) & is_inside(report.hands))
        apart = frame.truth.translation[:, None] - report.hands.translation[shown][None]
        near = 1.0 - np.linalg.norm(apart, axis=-1) / (2.0 * SAME_HAND_M)
        images.append((frame.identity, report.track_id[shown], np.maximum(near, 0.0)))
    return scores_of(images)


def scores_of(
    images: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> dict[str, float]:
    """Return IDF1, MOTA, HOTA and the identity switches by TrackEval.

    Args:
        images: for each, the true ids (M,), the reported ids (N,), no id twice, and the
            similarities (M, N) in [0, 1]; the same hand above 0.5.

    Raises:
        HandmeshError: TrackEval is not installed.
    """
    try:
        from trackeval.metrics import CLEAR, HOTA, Identity
    except ImportError as error:
        raise HandmeshError(
            "TrackEval, which computes IDF1 and MOTA, is not installed: "
            "pip install '.[benchmark]'."
        ) from error
    true_names: dict[int, int] = {}
    names: dict[int, int] = {}
    data: dict = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    for true, reported, similarity in images:
        true_ids = [true_names.setdefault(int(i), len(true_names)) for i in true]
        ids = [names.setdefault(int(i), len(names)) for i in reported]
        data["gt_ids"].append(np.array(true_ids, int))
        data["tracker_ids"].append(np.array(ids, int))
        data["similarity_scores"].append(similarity)
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


def still_jitter_mm(
    filters: Filters, noise: Noise = STILL_NOISE, seed: int = FIRST_HELD_OUT_SEED
) -> tuple[float, float]:
    """Return how a wrist that does not move trembles about its mean, RMS over 20 s.

    Returns:
        In 3D, and across the viewing ray only, millimetres.
    """
    path = swing((0.0, 0.0, 0.6), (0.0, 0.0, 0.0), 1.0)
    wrists, stamps = _wrists(path, filters, noise, seed, 20.0)
    off = wrists[stamps > 2.0] - wrists[stamps > 2.0].mean(0)
    return 1e3 * float(np.sqrt((off**2).sum(1).mean())), 1e3 * float(
        np.sqrt((off[:, :2] ** 2).sum(1).mean())
    )


def lag_ms(
    filters: Filters,
    speed_m_s: float,
    axis: int = 0,
    noise: Noise = NO_NOISE,
    seed: int = FIRST_HELD_OUT_SEED,
) -> float:
    """Return by how much a moving hand is behind itself, milliseconds.

    The hand swings over 0.4 m; the lag is the shift in time that explains its path best.

    Args:
        filters: smoothing.
        speed_m_s: its greatest speed.
        axis: 0 across the image, 2 along the viewing ray.
        noise: of the detections.
        seed: of the noise.
    """
    reach = (0.0, 0.0, 0.2) if axis == 2 else (0.2, 0.0, 0.0)
    path = swing((0.0, 0.0, 0.6), reach, 2 * np.pi * 0.2 / speed_m_s)
    wrists, stamps = _wrists(path, filters, noise, seed, 10.0)
    found, stamps = wrists[stamps > 1.0, axis], stamps[stamps > 1.0]
    late = np.arange(-0.05, 0.15, 1e-3)
    errors = [
        np.square(found - [path(stamp - shift)[axis] for stamp in stamps]).mean() for shift in late
    ]
    return 1e3 * float(late[int(np.argmin(errors))])


def depth_error_mm(seed: int) -> tuple[float, float]:
    """Return the wrist error of hands that a spoiled depth image gives their size.

    Six hands for a second, found with the usual noise but at a distance that is 10 % off (one
    standard deviation).

    Returns:
        Median error, millimetres, and the share of hands that depth told of.
    """
    random = np.random.default_rng(seed)
    actors = [actor.varied(random) for actor in scenes()["six hands"][0]]
    noise = replace(Noise(), depth=0.1, miss=0.0, wrong_side=0.0, false_hands=0.0)
    intrinsics = np.array([FOCAL_PX, FOCAL_PX, *CENTRE_PX])
    apart, told = [], []
    for number, frame in enumerate(Stage(noise, seed, with_mesh=True).play(actors, 1.0)):
        depth = drawn_depth(frame.truth.vertices, intrinsics, (SIZE_PX[1], SIZE_PX[0]))
        scale = measure_scale(frame.found, spoiled(depth, number), intrinsics)
        scaled = with_depth(frame.found, scale)
        off = scaled.keypoints_2d[:, None, 0] - frame.truth.keypoints_2d[None, :, 0]
        own = np.linalg.norm(off, axis=-1).argmin(1)
        errors = np.linalg.norm(scaled.translation - frame.truth.translation[own], axis=1)
        apart += errors[scale.reliable].tolist()
        told += scale.reliable.tolist()
    return 1e3 * float(np.median(apart)), float(np.mean(told))


def _wrists(
    path: Path3, filters: Filters, noise: Noise, seed: int, seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    tracker = Tracker()
    wrists, stamps = [], []
    for frame in Stage(noise, seed=seed).play([Actor(True, path)], seconds):
        wrists.append(
            tracker.update(frame.found, frame.stamp_s, filters=filters).hands.translation[0]
        )
        stamps.append(frame.stamp_s)
    return np.array(wrists, float), np.array(stamps)


def main(arguments: list[str] | None = None) -> int:
    """Print all figures; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracking")
    parser.add_argument("--first-seed", type=int, default=FIRST_HELD_OUT_SEED)
    parser.add_argument("--seeds", type=int, default=5, help="how many, from the first on")
    parser.add_argument("--no-identity", action="store_true", help="only jitter, lag and depth")
    args = parser.parse_args(arguments)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    try:
        if not args.no_identity:
            _print_identity(seeds)
    except HandmeshError as problem:
        print(problem, file=sys.stderr)
        return 1
    for label, filters in (("raw", Filters.off()), ("filtered", Filters())):
        for strength, noise in ((1, STILL_NOISE), (2, STILL_NOISE.times(2.0))):
            tremble = np.mean([still_jitter_mm(filters, noise, seed) for seed in seeds], axis=0)
            print(
                f"{label:9s} still hand, measured noise x {strength}: {tremble[0]:.2f} mm RMS, "
                f"across the ray {tremble[1]:.2f} mm"
            )
    errors, told = np.mean([depth_error_mm(seed) for seed in seeds], axis=0)
    print(f"wrist by depth: {errors:.1f} mm (median), {told:.0%} of the hands told")
    for name, noise in (("no noise", NO_NOISE), ("measured noise", STILL_NOISE)):
        for axis, direction in ((0, "across"), (2, "along")):
            lags = [
                (np.mean([lag_ms(Filters(), speed, axis, noise, seed) for seed in seeds]), speed)
                for speed in (0.2, 0.5, 1.0)
            ]
            told = ", ".join(f"{lag:.0f} ms at {speed:g} m/s" for lag, speed in lags)
            print(f"lag {direction} the ray, {name}: {told}")
    return 0


def _print_identity(seeds: Iterable[int]) -> None:
    print("scene                     IDF1 mean   least    MOTA    HOTA  switches per run")
    means = []
    for name, (actors, duration_s) in scenes().items():
        scores = [identity_scores(*run(actors, duration_s, seed)) for seed in seeds]
        mean = {key: float(np.mean([one[key] for one in scores])) for key in scores[0]}
        least = min(one["IDF1"] for one in scores)
        means.append(mean)
        print(
            f"{name:26s}  {mean['IDF1']:6.3f}  {least:6.3f}  {mean['MOTA']:6.3f}  "
            f"{mean['HOTA']:6.3f}  {mean['switches']:4.1f}",
            flush=True,
        )
    idf1, mota = (np.mean([one[key] for one in means]) for key in ("IDF1", "MOTA"))
    print(f"{'mean':26s}  {idf1:6.3f}          {mota:6.3f}")


def run(
    actors: list[Actor], duration_s: float, seed: int = 0
) -> tuple[list[SceneFrame], list[TrackedHands]]:
    """Play a scene, as the seed varies it; return its images and what a tracker said to each."""
    random = np.random.default_rng(seed)
    played = [actor.varied(random) for actor in actors]
    frames = list(Stage(seed=seed).play(played, duration_s))
    tracker = Tracker()
    return frames, [tracker.update(frame.found, frame.stamp_s) for frame in frames]


if __name__ == "__main__":
    sys.exit(main())

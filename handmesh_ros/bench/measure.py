"""Contestants timed in turns on the same scenes, and the table of their figures."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from handmesh_ros.bench.contestant import Contestant
from handmesh_ros.bench.scenes import Scene

STAGES = ("preprocess_ms", "inference_ms", "decode_ms", "message_ms", "total_ms", "cpu_ms")

PERCENTILES = (50, 95, 99)

WARM_UP = 3
"""Runs after a new scene that are not counted."""

BLOCK = 20
"""Runs on one scene before the next one's turn."""


def measure(
    contestants: list[Contestant], scenes: list[Scene], repeat: int
) -> list[dict[str, Any]]:
    """Time all contestants in turns, so that whatever else the machine does hits all alike.

    Scenes take turns as well, a block of runs each: a machine is not as fast at all times.

    Args:
        contestants: started.
        scenes: their input.
        repeat: timed runs of each contestant on each scene.

    Returns:
        for each contestant `model_id`, `backend`, `start_s`, `memory_mb` (resident after the
        first scene) and `scenes`: a list of `title`, `hands` that were decoded or found, and per
        stage of `STAGES` that it has {"p50": ms, "p95": ms, "p99": ms,
            "mean": ms}.
    """
    results: list[dict[str, Any]] = [
        {**one.introduction, "start_s": round(one.start_s, 3)} for one in contestants
    ]
    found: list[list[int]] = [[0] * len(scenes) for _ in contestants]
    samples: list[list[list[dict[str, float]]]] = [[[] for _ in scenes] for _ in contestants]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "image.npy")
        for first in range(0, repeat, BLOCK):
            for number, scene in enumerate(scenes):
                np.save(path, scene.image)
                for one, hands in zip(contestants, found, strict=True):
                    hands[number] = one.ask(show=path, hands=scene.hands)["hands"]
                for turn in range(WARM_UP + min(BLOCK, repeat - first)):
                    for place in range(len(contestants)):
                        index = (turn + place) % len(contestants)
                        sample = contestants[index].ask(run=True)
                        if turn >= WARM_UP:
                            samples[index][number].append(sample)
                for one, result in zip(contestants, results, strict=True):
                    result.setdefault("memory_mb", one.memory_mb())
    for result, hands, own in zip(results, found, samples, strict=True):
        result["scenes"] = [
            {"title": scene.title, "hands": shown, **_percentiles(figures)}
            for scene, shown, figures in zip(scenes, hands, own, strict=True)
        ]
    return results


def print_table(report: dict[str, Any]) -> None:
    """Print a report of `run` for people."""
    machine, results = report["machine"], report["results"]
    names = [f"{result['model_id']}, {result['backend']}" for result in results]
    width = max(map(len, names))
    print(f"{machine['processor']}, {machine['cores']} cores, load {report['load_average']:.1f}")
    print(f"\n{'from a new process':<{width}}   first result s   memory MB")
    for name, result in zip(names, results, strict=True):
        memory = "–" if result["memory_mb"] is None else f"{result['memory_mb']:.0f}"
        print(f"{name:<{width}}   {result['start_s']:14.2f}   {memory:>9}")
    stages = [stage for stage in STAGES if any(stage in r["scenes"][0] for r in results)]
    for index, scene in enumerate(results[0]["scenes"]):
        heads = [stage.removesuffix("_ms") for stage in stages]
        print(f"\n{scene['title']}: p50 ms, the mean of cpu, and of the total p95 and p99")
        print(
            " " * width
            + "".join(f"{head:>11}" for head in (*heads, "cpu mean", "p95", "p99", "hands"))
        )
        for name, result in zip(names, results, strict=True):
            figures = result["scenes"][index]
            cells = [f"{figures[s]['p50']:.2f}" if s in figures else "–" for s in stages]
            cells += [f"{figures['cpu_ms']['mean']:.2f}" if "cpu_ms" in figures else "–"]
            cells += [f"{figures['total_ms'][p]:.2f}" for p in ("p95", "p99")]
            print(f"{name:<{width}}" + "".join(f"{c:>11}" for c in (*cells, figures["hands"])))


def _percentiles(samples: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    figures = {}
    for stage in STAGES:
        if stage in samples[0]:
            values = np.percentile([sample[stage] for sample in samples], PERCENTILES)
            figures[stage] = {
                f"p{p}": round(float(ms), 3) for p, ms in zip(PERCENTILES, values, strict=True)
            }
            figures[stage]["mean"] = round(float(np.mean([one[stage] for one in samples])), 3)
    return figures

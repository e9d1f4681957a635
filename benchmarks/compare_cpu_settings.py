"""What ONNX Runtime's CPU settings are worth on this machine: the defaults of its backend.

Each setting runs in a process of its own, in turns with all others, at a camera's rate; printed
are the time of a call, the processor time of all its threads, what the process burns between two
calls, and its resident memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

from handmesh_ros.bench.contestant import Contestant
from handmesh_ros.inference.backends.parity import fixed_images
from handmesh_ros.inference.models import CAMERA_MODEL
from handmesh_ros.inference.sidecar import Sidecar

SETTINGS: dict[str, dict[str, object]] = {
    "as the backend": {},
    "spinning": {"spinning": True},
    "1 thread": {"threads": 1},
    "2 threads": {"threads": 2},
    "no arena": {"arena": False},
    "no memory pattern": {"pattern": False},
    "basic optimisation": {"optimisation": "ORT_ENABLE_BASIC"},
    "flush denormals": {"denormals": True},
}
"""What differs from `OnnxRuntimeBackend`."""

IDLE_S = 0.015
"""Between two turns of all: a camera at 30 Hz leaves about as much."""


def serve(model: str, setting: dict[str, object]) -> None:
    """Answer each line on standard input with the figures of one call."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = setting.get("threads", 0)
    spinning = "1" if setting.get("spinning") else "0"
    options.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    options.enable_cpu_mem_arena = setting.get("arena", True)
    options.enable_mem_pattern = setting.get("pattern", True)
    level = str(setting.get("optimisation", "ORT_ENABLE_ALL"))
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    if setting.get("denormals"):
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    size = Sidecar.read(Path(model).with_suffix(".json")).input_size
    image, intrinsics = next(fixed_images(size))
    inputs = {"image": image, "intrinsics": intrinsics}
    session.run(None, inputs)
    print("{}", flush=True)
    since = time.process_time()
    for _ in sys.stdin:
        before, start = time.process_time(), time.perf_counter()
        session.run(None, inputs)
        call, after = time.perf_counter() - start, time.process_time()
        figures = {"call": call, "cpu": after - before, "between": before - since}
        since = after
        print(json.dumps({name: 1e3 * value for name, value in figures.items()}), flush=True)


def main() -> None:
    """Run the comparison and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", default=str(CAMERA_MODEL))
    parser.add_argument("--repeat", type=int, default=100, help="calls (%(default)s)")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        serve(args.model, json.loads(args.serve))
        return
    contestants = {
        name: Contestant(name, [sys.executable, __file__, args.model, "--serve", json.dumps(one)])
        for name, one in SETTINGS.items()
    }
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    for _ in range(args.repeat):
        for name, contestant in contestants.items():
            samples[name].append(contestant.ask(run=True))
        time.sleep(IDLE_S)
    print("| setting | call p50 ms | p10 | p95 | CPU ms | CPU ms between | memory MB |")
    print("|---|---|---|---|---|---|---|")
    for name, contestant in contestants.items():
        calls = np.array([[s["call"], s["cpu"], s["between"]] for s in samples[name]])
        p10, p50, p95 = np.percentile(calls[:, 0], (10, 50, 95))
        cpu, between = np.median(calls[:, 1:], axis=0)
        memory = contestant.memory_mb() or float("nan")
        print(
            f"| {name} | {p50:.1f} | {p10:.1f} | {p95:.1f} | {cpu:.1f} | {between:.1f} | "
            f"{memory:.0f} |"
        )
        contestant.close()


if __name__ == "__main__":
    main()

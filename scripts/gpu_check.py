"""`make gpu-check`: run on a GPU whatever is installed, and write docs/benchmarks/<gpu>.md.

TensorRT, TensorRT-RTX, ONNX Runtime and PyTorch run the same frames; each is compared with ONNX
Runtime on the CPU and timed from the image in host memory to the results in host memory. Without
a GPU it says so in one sentence.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Any

try:
    import numpy as np

    from handmesh_ros.errors import HandmeshError
    from handmesh_ros.runtime.backend import Backend, open_backend
    from handmesh_ros.runtime.cuda import Device, open_cuda
    from handmesh_ros.runtime.estimator import BUNDLED_MODEL
    from handmesh_ros.runtime.onnxruntime_backend import OnnxRuntimeBackend
    from handmesh_ros.runtime.parity import REDUCED_LIMIT, compare, fixed_images
except ModuleNotFoundError as missing:
    sys.exit(
        f"gpu-check: {sys.executable} lacks the package {missing.name}: run `make demo` once and "
        "then `make gpu-check PYTHON=.venv/bin/python`, or name an interpreter that has the "
        "GPU's packages and handmesh_ros."
    )

ROOT = Path(__file__).resolve().parent.parent
WARM_UP, TIMED = 20, 300
TORCH_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"cuda_graph": True},
    {"cuda_graph": True, "precision": "float16"},
)
HEADER = (
    "| model | what ran | p50 ms | p99 ms | start s | GPU MB | CUDA graph | parity |\n"
    "|---|---|---|---|---|---|---|---|"
)


def measure(model: Path, name: str, reference: Backend, **options: Any) -> str:
    """Return one row of the table.

    Args:
        model: a graph or a checkpoint.
        name: of the backend.
        reference: what it is compared with.
        options: of `TorchBackend`, for a checkpoint.
    """
    start = time.perf_counter()
    try:
        backend = _open_torch(model, **options) if options else open_backend(model, name)
    except HandmeshError as error:
        called = " ".join((name, *(f"{key}={value}" for key, value in options.items())))
        return f"| {model.name} | {called} did not run: {error} | | | | | | |"
    ready = time.perf_counter() - start
    drift = compare(backend, reference)
    image, intrinsics = next(fixed_images(backend.sidecar.input_size))
    milliseconds = []
    for _ in range(WARM_UP + TIMED):
        start = time.perf_counter()
        backend(image, intrinsics)
        milliseconds.append(1e3 * (time.perf_counter() - start))
    p50, p99 = np.percentile(milliseconds[WARM_UP:], (50, 99))
    memory = getattr(backend, "device_memory", None)
    megabytes = "" if memory is None else f"{memory / 2**20:.0f}"
    graph = {True: "yes", False: "no", None: ""}[getattr(backend, "has_graph", None)]
    verdict = "good" if drift.within(REDUCED_LIMIT) else "**DRIFTS**"
    if backend.sidecar.precision == "int8":
        verdict = "int8"
    row = (
        f"| {model.name} | {backend.name} | {p50:.3f} | {p99:.3f} | {ready:.1f} | {megabytes} | "
        f"{graph} | {verdict}: {drift} |"
    )
    backend.close()
    return row


def _open_torch(checkpoint: Path, **options: Any) -> Backend:
    from handmesh_ros.runtime.torch_backend import TorchBackend

    return TorchBackend(checkpoint, **options)


def check(device: Device, models: list[Path], checkpoint: Path) -> str:
    """Run everything and return the report."""
    rows = []
    reference = OnnxRuntimeBackend(models[0], cuda=False)
    for model in models:
        for name in ("tensorrt", "tensorrt_rtx", "onnxruntime"):
            rows.append(measure(model, name, reference))
            print(rows[-1], flush=True)
    if checkpoint.is_file():
        for options in TORCH_OPTIONS:
            rows.append(measure(checkpoint, "torch", reference, **options))
            print(rows[-1], flush=True)
    reference.close()
    return "\n".join(
        [
            f"# {device.name}",
            "",
            f"Written by `make gpu-check`. Compute capability {device.compute_capability}, "
            f"{device.multiprocessors} multiprocessors, {device.memory / 2**30:.0f} GB, "
            f"{device.driver}. Times are of one call, image upload and results download included; "
            f"{TIMED} calls after {WARM_UP}. Parity is with the float32 graph on the CPU.",
            "",
            HEADER,
            *rows,
            "",
        ]
    )


def main() -> int:
    """Run the check; 0 also where there is no GPU."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "models", nargs="*", type=Path, help="graphs; the first is the float32 reference"
    )
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "weights" / "mobile.ckpt")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks")
    args = parser.parse_args()
    try:
        device = open_cuda().device
    except HandmeshError as error:
        print(f"gpu-check is skipped: {error}")
        return 0
    try:
        report = check(device, args.models or [BUNDLED_MODEL], args.checkpoint)
    except HandmeshError as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return 1
    args.output.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", device.name.lower()).strip("-")
    path = args.output / f"{name}.md"
    path.write_text(report, encoding="utf-8")
    print(f"{path} is written.")
    return 1 if "DRIFTS" in report else 0


if __name__ == "__main__":
    sys.exit(main())

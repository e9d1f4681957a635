"""`make gpu-check`: run on a GPU whatever is installed, and write docs/benchmarks/<gpu>.md.

TensorRT, TensorRT-RTX, ONNX Runtime and PyTorch run the same frames: `mobile`, `refine` on two
crops at once, and `resnet50` at 384 with untrained weights, whose speed is the same. Each is
compared with ONNX Runtime on the CPU and timed from the image in host memory to the results in
host memory, and with PyTorch eager of the same run. Without a GPU it says what is missing, a line
each.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import numpy as np

    from handmesh_ros.errors import HandmeshError
    from handmesh_ros.inference.backends.base import Backend
    from handmesh_ros.inference.backends.onnxruntime import OnnxRuntimeBackend
    from handmesh_ros.inference.backends.parity import REDUCED_LIMIT, compare, fixed_inputs
    from handmesh_ros.inference.backends.selection import module_of, open_backend
    from handmesh_ros.inference.backends.tensorrt.build import USUAL_BATCH
    from handmesh_ros.inference.backends.tensorrt.cuda import Device, open_cuda
    from handmesh_ros.inference.models import BUNDLED_MODELS
    from handmesh_ros.network.contract import IMAGE
except ModuleNotFoundError as missing:
    sys.exit(
        f"gpu-check: {sys.executable} lacks the package {missing.name}: run `make demo` once and "
        "then `make gpu-check PYTHON=.venv/bin/python`, or name an interpreter that has the "
        "GPU's packages and handmesh_ros."
    )

ROOT = Path(__file__).resolve().parent.parent
RESNET50 = ROOT / "config" / "training" / "resnet50.yaml"
WARM_UP, TIMED = 20, 300
ENGINES = ("tensorrt", "tensorrt_rtx", "onnxruntime")
TORCH_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"cuda_graph": True},
    {"cuda_graph": True, "precision": "float16"},
    {"cuda_graph": True, "precision": "float16", "compiled": True},
)
"""PyTorch's ways to run a checkpoint; the first, eager, is what all others are compared with."""

LEAST_SPEED_UP = 5.0
HEADER = (
    "| network | what ran | p50 ms | p95 ms | × eager | start s | GPU MB | CUDA graph | parity |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Network:
    """One network in the forms that backends take.

    Attributes:
        name: for people.
        graphs: .onnx files.
        checkpoint: of the same weights; None where there is none.
        reference: what others are compared with; None for untrained weights, whose hands are
            ties.
        most_ms: what float16 should take at most on a data-centre GPU.
    """

    name: str
    graphs: tuple[Path, ...]
    checkpoint: Path | None
    reference: Backend | None
    most_ms: float


@dataclass(frozen=True)
class Row:
    """What one backend did.

    Attributes:
        text: of the table.
        p50_ms: of a call; None where it did not run.
        is_float16: whether the network ran in float16.
        drifts: whether its hands are too far from the reference's.
    """

    text: str
    p50_ms: float | None = None
    is_float16: bool = False
    drifts: bool = False


def measure(
    network: Network, model: Path, name: str, eager_ms: float | None, **options: Any
) -> Row:
    """Time one backend and compare it.

    Args:
        network: that the model is a form of.
        model: a graph or a checkpoint.
        name: of the backend.
        eager_ms: PyTorch eager's time of the same run; None where it is not known.
        options: of `TorchBackend`, for a checkpoint.
    """
    start = time.perf_counter()
    try:
        backend = _open_torch(model, **options) if name == "torch" else open_backend(model, name)
        ready = time.perf_counter() - start
        parity, drifts = _parity(backend, network.reference)
        milliseconds = _times_ms(backend)
    except Exception as error:  # one line of the report each, whatever a library throws
        called = " ".join((name, *(f"{key}={value}" for key, value in options.items())))
        told = str(error).partition("\n")[0] or type(error).__name__
        return Row(f"| {network.name} | {model.name}: {called} did not run: {told} |" + " |" * 7)
    p50, p95 = np.percentile(milliseconds, (50, 95))
    memory = getattr(backend, "device_memory", None)
    cells = [
        network.name,
        f"{backend.name}, {backend.sidecar.precision}",
        f"{p50:.3f}",
        f"{p95:.3f}",
        "" if eager_ms is None else f"{eager_ms / p50:.1f}",
        f"{ready:.1f}",
        "" if memory is None else f"{memory / 2**20:.0f}",
        {True: "yes", False: "no", None: ""}[getattr(backend, "has_graph", None)],
        parity,
    ]
    is_float16 = backend.sidecar.precision == "float16"
    backend.close()
    return Row(f"| {' | '.join(cells)} |", float(p50), is_float16, drifts)


def _open_torch(checkpoint: Path, **options: Any) -> Backend:
    from handmesh_ros.inference.backends.torch import TorchBackend

    return TorchBackend(checkpoint, **options)


def _parity(backend: Backend, reference: Backend | None) -> tuple[str, bool]:
    """Return what to say of a backend's hands, and whether they are too far off."""
    if reference is None:
        return "untrained", False
    drift = compare(backend, reference)
    if backend.sidecar.precision == "int8":
        return f"int8: {drift}", False
    good = drift.within(REDUCED_LIMIT)
    return f"{'good' if good else '**DRIFTS**'}: {drift}", not good


def _times_ms(backend: Backend) -> list[float]:
    """Return the times of calls, image upload and results download included."""
    inputs = [values[:USUAL_BATCH] for values in next(fixed_inputs(backend.sidecar))]
    milliseconds = []
    for _ in range(WARM_UP + TIMED):
        start = time.perf_counter()
        backend.infer(*inputs)
        milliseconds.append(1e3 * (time.perf_counter() - start))
    return milliseconds[WARM_UP:]


def runs_of(network: Network) -> list[Row]:
    """Run a network in all its forms; rows are printed as they come."""
    rows: list[Row] = []
    eager_ms = None

    def run(model: Path, name: str, **options: Any) -> Row:
        rows.append(measure(network, model, name, eager_ms, **options))
        print(rows[-1].text, flush=True)
        return rows[-1]

    if network.checkpoint is not None:
        eager, *others = TORCH_OPTIONS
        eager_ms = run(network.checkpoint, "torch", **eager).p50_ms
        for options in others:
            run(network.checkpoint, "torch", **options)
    for graph in network.graphs:
        for name in ENGINES:
            run(graph, name)
    return rows


def verdict(network: Network, rows: list[Row]) -> str:
    """Return a sentence that holds the fastest float16 against what it should reach."""
    times = [row.p50_ms for row in rows if row.is_float16 and row.p50_ms is not None]
    if not times:
        return f"- {network.name}: nothing ran in float16."
    best = min(times)
    eager_ms = rows[0].p50_ms if network.checkpoint is not None else None
    told = f"- {network.name}, fastest in float16: {best:.3f} ms (at most {network.most_ms:g}: "
    told += f"{'met' if best <= network.most_ms else 'missed'})"
    if eager_ms is None:
        return f"{told}."
    met = "met" if eager_ms / best >= LEAST_SPEED_UP else "missed"
    return f"{told}, {eager_ms / best:.1f} × PyTorch eager (at least {LEAST_SPEED_UP:g}: {met})."


def networks(models: list[list[Path]], checkpoint: Path, folder: Path) -> list[Network]:
    """Return what is to be measured.

    Args:
        models: for each size of `mobile` its graphs; the first is the float32 reference.
        checkpoint: of `mobile`; where it is missing, so is PyTorch.
        folder: for what is made on the way.
    """
    has_torch = importlib.util.find_spec("torch") is not None
    known = checkpoint if has_torch and checkpoint.is_file() else None
    found = [_trained(graphs, known, folder) for graphs in models]
    if has_torch and RESNET50.is_file():
        untrained = _untrained(folder / "resnet50.ckpt")
        made = _exported(untrained, folder / "resnet50-float16.onnx", is_trained=False)
        found.append(Network("resnet50 at 384", tuple(made), untrained, None, 2.0))
    return found


def _trained(models: list[Path], checkpoint: Path | None, folder: Path) -> Network:
    reference = OnnxRuntimeBackend(models[0], cuda=False)
    graphs, own = list(models), None
    if checkpoint is not None and reference.sidecar.takes == IMAGE:
        from handmesh_ros.network.checkpoint import save_weights

        own = folder / f"{models[0].stem}.ckpt"
        save_weights(checkpoint, own, reference.sidecar.input_size)
        if not models[1:]:
            graphs += _exported(own, folder / f"{own.stem}-float16.onnx", is_trained=True)
    return Network(models[0].stem, tuple(graphs), own, reference, 1.0)


def _untrained(target: Path) -> Path:
    """Write a checkpoint of the paper's size with the weights it begins with."""
    from dataclasses import asdict

    import torch

    from handmesh_ros.hand.template import HandTemplate
    from handmesh_ros.network.model import HandNetwork
    from handmesh_ros.training.config import TrainingConfig

    torch.manual_seed(0)
    config = TrainingConfig.load(RESNET50).network
    network = HandNetwork(config, HandTemplate.bundled())
    state = {f"network.{name}": values for name, values in network.state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": {"network": asdict(config)}}, target)
    return target


def _exported(checkpoint: Path, target: Path, is_trained: bool) -> list[Path]:
    """Return the float16 graph of a checkpoint, where something could run it on the GPU."""
    if not any(is_usable for name, _, is_usable in installed() if name in ENGINES):
        return []
    from handmesh_ros.network.checkpoint import load_network
    from handmesh_ros.training.export.export import export

    try:
        network = load_network(checkpoint)
        return [export(network, target, model_id=target.stem, precision="float16")]
    except (HandmeshError, ImportError) as error:
        if target.is_file() and not is_trained:
            return [target]  # the check compared hands of untrained weights
        print(f"{target.stem} is left out: {error}")
        return []


def installed() -> list[tuple[str, str, bool]]:
    """Return for each backend its name, what is there of it, and whether it can use a GPU."""
    told = []
    for name in (*ENGINES, "torch"):
        module = module_of(name)
        if importlib.util.find_spec(module) is None:
            told.append((name, "is not installed", False))
        elif name == "onnxruntime":
            import onnxruntime

            usable = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
            how = "with CUDA" if usable else "without CUDA (pip install onnxruntime-gpu)"
            told.append((name, f"{onnxruntime.__version__} {how}", usable))
        elif name == "torch":
            import torch

            usable = torch.version.cuda is not None
            how = f"for CUDA {torch.version.cuda}" if usable else "is built for the CPU only"
            told.append((name, f"{torch.__version__} {how}", usable))
        else:
            told.append((name, "is installed", True))
    return told


def check(device: Device, found: list[Network]) -> tuple[str, bool]:
    """Run everything; return the report, and whether any backend's hands drift."""
    rows = {network.name: runs_of(network) for network in found}
    every = [row for several in rows.values() for row in several]
    report = [
        f"# {device.name}",
        "",
        f"Written by `make gpu-check`. Compute capability {device.compute_capability}, "
        f"{device.multiprocessors} multiprocessors, {device.memory / 2**30:.0f} GB, "
        f"{device.driver}. Times are of one call, image upload and results download included; "
        f"{TIMED} calls after {WARM_UP}. Parity is with the float32 graph on the CPU; resnet50 "
        "has no trained weights, so that only its speed counts.",
        "",
        *(f"- {name} {what}" for name, what, _ in installed()),
        "",
        HEADER,
        *(row.text for row in every),
        "",
        *(verdict(network, rows[network.name]) for network in found),
        "",
    ]
    return "\n".join(report), any(row.drifts for row in every)


def main() -> int:
    """Run the check; 0 also where there is no GPU."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "models",
        nargs="*",
        type=Path,
        help="graphs of one size; the first is the float32 reference (the bundled ones)",
    )
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "weights" / "mobile.ckpt")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks")
    args = parser.parse_args()
    try:
        device = open_cuda().device
    except HandmeshError as error:
        print(f"gpu-check is skipped: {error}")
        for name, what, _ in installed():
            print(f"  {name} {what}")
        return 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            models = [args.models] if args.models else [[path] for path in BUNDLED_MODELS.values()]
            found = networks(models, args.checkpoint, Path(folder))
            report, drifts = check(device, found)
    except HandmeshError as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return 1
    args.output.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", device.name.lower()).strip("-")
    path = args.output / f"{name}.md"
    path.write_text(report, encoding="utf-8")
    print(f"{path} is written.")
    return 1 if drifts else 0


if __name__ == "__main__":
    sys.exit(main())

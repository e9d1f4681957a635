from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

FAKES = Path(__file__).parents[1] / "inference" / "backends" / "tensorrt"


@pytest.fixture
def gpu_check(monkeypatch, tmp_path):
    from benchmarks import gpu_check as module

    monkeypatch.setenv("HANDMESH_CACHE", str(tmp_path / "engines"))
    monkeypatch.syspath_prepend(str(FAKES))
    monkeypatch.setattr(module, "TIMED", 2)
    return module


def run(monkeypatch, gpu_check, *arguments):
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", *map(str, arguments)])
    return gpu_check.main()


def test_without_a_gpu_it_says_what_is_missing(gpu_check, monkeypatch, capsys):
    from fake_cuda import FakeCudart

    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", FakeCudart(devices=0))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert run(monkeypatch, gpu_check) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith("gpu-check is skipped: CUDA finds no usable NVIDIA GPU")
    assert [line.split()[0] for line in others] == [*gpu_check.ENGINES, "torch"]
    assert others[0] == "  tensorrt is not installed"


def test_writes_a_report_of_what_ran_and_what_did_not(
    gpu_check, tiny_model, monkeypatch, tmp_path
):
    from fake_cuda import FakeCudart
    from fake_tensorrt import fake_library

    cudart = FakeCudart(name="NVIDIA Fake 1")
    trt = fake_library(cudart, "tensorrt", "10.3.0")
    trt.__spec__ = object()
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", cudart)
    monkeypatch.setattr(gpu_check, "RESNET50", tmp_path / "none.yaml")
    arguments = (tiny_model, "--output", tmp_path, "--checkpoint", tmp_path / "none.ckpt")
    assert run(monkeypatch, gpu_check, *arguments) == 0
    report = (tmp_path / "nvidia-fake-1.md").read_text()
    assert "| TensorRT 10.3.0 on NVIDIA Fake 1, float32 |" in report
    assert "| yes | good" in report
    assert "ONNX Runtime" in report and "tensorrt_rtx did not run" in report
    assert f"- {tiny_model.stem}: nothing ran in float16." in report
    table = [line for line in report.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1


class Timed:
    """A backend that only has a name and a precision."""

    def __init__(self, precision):
        self.name, self.sidecar = "PyTorch", types.SimpleNamespace(precision=precision)
        self.has_graph, self.device_memory = True, 2**20

    def close(self):
        pass


@pytest.fixture
def pytorch(gpu_check, monkeypatch):
    """PyTorch at 6 ms eagerly, 2 ms as a graph, 0.9 ms in float16, that does not compile."""
    milliseconds = {}

    def open_torch(checkpoint, **options):
        if "compiled" in options:
            raise RuntimeError("Triton is missing\nand more")
        backend = Timed(options.get("precision", "float32"))
        milliseconds[id(backend)] = 6.0 if not options else 2.0 if len(options) == 1 else 0.9
        open_torch.alive.append(backend)
        return backend

    open_torch.alive = []
    monkeypatch.setattr(gpu_check, "_open_torch", open_torch)
    monkeypatch.setattr(gpu_check, "_times_ms", lambda backend: [milliseconds[id(backend)]] * 3)


def test_float16_is_held_against_its_limit_and_eager(gpu_check, pytorch):
    network = gpu_check.Network("resnet50 at 384", (), Path("a.ckpt"), None, 2.0)
    rows = gpu_check.runs_of(network)
    assert [row.p50_ms for row in rows] == [6.0, 2.0, 0.9, None]
    assert "| 0.900 | 0.900 | 6.7 |" in rows[2].text and "| 1 | yes | untrained |" in rows[2].text
    assert "compiled=True did not run: Triton is missing |" in rows[3].text
    assert gpu_check.verdict(network, rows) == (
        "- resnet50 at 384, fastest in float16: 0.900 ms (at most 2: met), 6.7 × PyTorch eager "
        "(at least 5: met)."
    )
    slow = gpu_check.Network("mobile", (), Path("a.ckpt"), None, 0.5)
    assert "(at most 0.5: missed)" in gpu_check.verdict(slow, rows)


def test_hands_that_drift_are_found_and_end_with_status_1(gpu_check, tiny_model, monkeypatch):
    from handmesh_ros.inference.backends.onnxruntime import OnnxRuntimeBackend
    from handmesh_ros.inference.backends.parity import Drift

    far = Drift(found_again=1.0, mesh_m=0.02, keypoints_px=0.1, distance=0.0)
    monkeypatch.setattr(gpu_check, "compare", lambda backend, reference: far)
    reference = OnnxRuntimeBackend(tiny_model)
    network = gpu_check.Network("mobile", (tiny_model,), None, reference, 1.0)
    row = gpu_check.measure(network, tiny_model, "onnxruntime", None)
    assert row.drifts and "**DRIFTS**" in row.text


def test_the_papers_size_is_made_up_with_untrained_weights(gpu_check, tmp_path):
    pytest.importorskip("torch", reason="needs torch: run `make test`")
    from handmesh_ros.network.checkpoint import load_checkpoint

    settings, state = load_checkpoint(gpu_check._untrained(tmp_path / "resnet50.ckpt"))
    assert settings["network"]["input_size"] == 384 and len(state) > 100

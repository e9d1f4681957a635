from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

runtime = Path(__file__).parent / "runtime"
SCRIPT = Path(__file__).parent.parent / "scripts" / "gpu_check.py"


@pytest.fixture
def gpu_check(monkeypatch, tmp_path):
    specification = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setenv("HANDMESH_CACHE", str(tmp_path / "engines"))
    monkeypatch.syspath_prepend(str(runtime))
    return module


def run(monkeypatch, gpu_check, *arguments):
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", *map(str, arguments)])
    return gpu_check.main()


def test_without_a_gpu_it_is_skipped_in_one_sentence(gpu_check, monkeypatch, capsys):
    from fake_cuda import FakeCudart

    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", FakeCudart(devices=0))
    assert run(monkeypatch, gpu_check) == 0
    output = capsys.readouterr().out
    assert output.startswith("gpu-check is skipped: CUDA finds no usable NVIDIA GPU")
    assert output.count("\n") == 1


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
    monkeypatch.setattr(gpu_check, "TIMED", 2)
    arguments = (tiny_model, "--output", tmp_path, "--checkpoint", tmp_path / "none.ckpt")
    assert run(monkeypatch, gpu_check, *arguments) == 0
    report = (tmp_path / "nvidia-fake-1.md").read_text()
    assert "| TensorRT 10.3.0 on NVIDIA Fake 1 |" in report and "| yes | good" in report
    assert "ONNX Runtime" in report and "tensorrt_rtx did not run" in report


def test_pytorch_takes_part_with_and_without_a_cuda_graph(gpu_check, tiny_model, monkeypatch):
    from handmesh_ros.errors import HandmeshError
    from handmesh_ros.runtime.onnxruntime_backend import OnnxRuntimeBackend

    asked = []

    def open_torch(checkpoint, **options):
        asked.append(options)
        if "precision" in options:
            raise HandmeshError("PyTorch cannot record it.")
        return OnnxRuntimeBackend(tiny_model)

    monkeypatch.setattr(gpu_check, "_open_torch", open_torch)
    monkeypatch.setattr(gpu_check, "TIMED", 2)
    reference = OnnxRuntimeBackend(tiny_model)
    eager, *recorded = gpu_check.TORCH_OPTIONS
    rows = [gpu_check.measure(tiny_model, "torch", reference, **options) for options in recorded]
    assert eager == {} and asked == recorded
    assert "good" in rows[0]
    assert "torch cuda_graph=True precision=float16 did not run: PyTorch cannot" in rows[1]

"""What only a GPU can show; `make gpu-check` runs these where there is one."""

from __future__ import annotations

import importlib.util

import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.onnxruntime import OnnxRuntimeBackend
from handmesh_ros.inference.backends.parity import REDUCED_LIMIT, compare
from handmesh_ros.inference.backends.selection import open_backend
from handmesh_ros.inference.backends.tensorrt.cuda import open_cuda
from handmesh_ros.inference.models import CAMERA_MODEL, REFINEMENT_MODEL


@pytest.fixture(scope="module", autouse=True)
def gpu():
    try:
        open_cuda()
    except HandmeshError as error:
        pytest.skip(str(error))


@pytest.mark.gpu
def test_onnxruntime_on_cuda_agrees_with_the_cpu():
    backend = OnnxRuntimeBackend(CAMERA_MODEL)
    if "CUDA" not in backend.name:
        pytest.skip("ONNX Runtime has no CUDA provider here")
    assert compare(backend, OnnxRuntimeBackend(CAMERA_MODEL, cuda=False)).within(REDUCED_LIMIT)


@pytest.mark.tensorrt
@pytest.mark.parametrize("library", ["tensorrt", "tensorrt_rtx"])
@pytest.mark.parametrize("model", [CAMERA_MODEL, REFINEMENT_MODEL])
def test_an_engine_agrees_with_the_cpu_and_is_found_again(model, library, tmp_path, monkeypatch):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    monkeypatch.setenv("HANDMESH_CACHE", str(tmp_path))
    backend = open_backend(model, library)
    assert compare(backend, OnnxRuntimeBackend(model, cuda=False)).within(REDUCED_LIMIT)
    backend.close()
    (engine,) = tmp_path.glob("*.engine")
    built = engine.stat().st_mtime_ns
    open_backend(model, library).close()
    assert engine.stat().st_mtime_ns == built

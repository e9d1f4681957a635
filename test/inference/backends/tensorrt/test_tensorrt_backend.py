from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from fake_cuda import FakeCudart
from fake_tensorrt import VERSIONS, fake_library

from handmesh_ros.cli import main as cli
from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.base import output_shapes
from handmesh_ros.inference.backends.onnxruntime import OnnxRuntimeBackend
from handmesh_ros.inference.backends.parity import FLOAT32_LIMIT, compare, fixed_inputs
from handmesh_ros.inference.backends.selection import _warn_once, open_backend
from handmesh_ros.inference.backends.tensorrt.backend import TensorRtBackend, build_only
from handmesh_ros.inference.backends.tensorrt.build import build_engine
from handmesh_ros.inference.models import REFINEMENT_MODEL


def install(monkeypatch, library="tensorrt", version="10.3.0", **cuda):
    """Make a fake library and a fake GPU importable; no other engine library is."""
    cudart = FakeCudart(**cuda)
    trt = fake_library(cudart, library, version)
    trt.__spec__ = object()
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, library, trt)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", cudart)
    return trt, cudart


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HANDMESH_CACHE", str(tmp_path / "engines"))
    return tmp_path / "engines"


def refused(call, *words):
    with pytest.raises(HandmeshError) as error:
        call()
    text = str(error.value)
    assert "\n" not in text and text.endswith("."), text
    for word in words:
        assert word in text, text


@pytest.mark.parametrize(("library", "version"), VERSIONS)
def test_every_version_gives_what_onnxruntime_gives(
    tiny_model, cache, monkeypatch, library, version
):
    trt, cudart = install(monkeypatch, library, version)
    backend = open_backend(tiny_model, library)
    reference = OnnxRuntimeBackend(tiny_model)
    outputs = backend.infer(
        np.full((1, 96, 128, 3), 7, np.uint8), np.array([[90, 91, 60, 50]], np.float32)
    )
    assert {name: v.shape for name, v in outputs.items()} == output_shapes(backend.sidecar)
    assert compare(backend, reference).within(FLOAT32_LIMIT)
    assert version in backend.name and "Fake GPU" in backend.name
    assert backend.has_graph and backend.device_memory > 12345
    flag = trt.NetworkDefinitionCreationFlag
    typed = getattr(flag, "STRONGLY_TYPED", None)
    wanted = flag.EXPLICIT_BATCH if typed is None else typed
    assert trt.state.network.flags == 1 << int(wanted)
    del outputs
    backend.close()
    assert not cudart.live


@pytest.fixture(scope="module")
def crop_readings():
    """Crops of each batch size, and what ONNX Runtime reads off them."""
    reference = OnnxRuntimeBackend(REFINEMENT_MODEL)
    inputs = next(fixed_inputs(reference.sidecar, 1))
    batches = [[values[:count] for values in inputs] for count in (2, 1, 16, 3)]
    return [(some, {k: v.copy() for k, v in reference.infer(*some).items()}) for some in batches]


@pytest.mark.parametrize(("library", "version"), VERSIONS)
def test_crops_come_in_batches_of_any_size(cache, crop_readings, monkeypatch, library, version):
    trt, cudart = install(monkeypatch, library, version)
    backend = TensorRtBackend(REFINEMENT_MODEL, library=library)
    sizes = {name: [shape[0] for shape in shapes] for name, shapes in trt.state.profile.items()}
    assert sizes == {name: [1, 2, 16] for name in ("crops", "to_image", "intrinsics")}
    assert len(trt.state.config.profiles) == 1 and not backend.has_graph
    for some, expected in crop_readings:
        count = len(some[0])
        found = {name: values.copy() for name, values in backend.infer(*some).items()}
        assert {name: len(values) for name, values in found.items()} == dict.fromkeys(found, count)
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, atol=1e-4)
    del found
    backend.close()
    assert not cudart.live


@pytest.mark.parametrize(("version", "asked"), [("8.6.1", True), ("10.3.0", False)])
def test_int8_is_asked_for_where_the_types_alone_do_not_say_it(monkeypatch, version, asked):
    trt, _ = install(monkeypatch, version=version)
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    small (float[2] x) => (float[2] y) {
      step = Constant <value = float {0.1}> ()
      zero = Constant <value = int8 {0}> ()
      whole = QuantizeLinear (x, step, zero)
      y = DequantizeLinear (whole, step, zero)
    }
    """
    graph = onnx.parser.parse_model(text).SerializeToString()
    build_engine(trt, graph, Path("small.onnx"))
    names = {trt.BuilderFlag(flag).name for flag in trt.state.config.flags}
    assert names == ({"INT8"} if asked else set())


def test_one_graph_launch_and_no_other_copy_per_call(tiny_model, cache, monkeypatch):
    _, cudart = install(monkeypatch)
    backend = open_backend(tiny_model, "tensorrt")
    cudart.calls.clear()
    backend.infer(np.ones((1, 96, 128, 3), np.uint8), np.ones((1, 4), np.float32))
    assert cudart.calls == ["cudaGraphLaunch", "cudaStreamSynchronize"]


def test_runs_without_a_graph_where_it_cannot_be_recorded(tiny_model, cache, monkeypatch, caplog):
    _, cudart = install(monkeypatch)
    cudart.can_capture = False
    backend = open_backend(tiny_model, "tensorrt")
    assert not backend.has_graph and "without a CUDA graph" in caplog.text
    assert compare(backend, OnnxRuntimeBackend(tiny_model)).within(FLOAT32_LIMIT)


def test_the_engine_is_built_once(tiny_model, cache, monkeypatch, caplog):
    trt, _ = install(monkeypatch)
    with caplog.at_level(logging.INFO):
        open_backend(tiny_model, "tensorrt").close()
        open_backend(tiny_model, "tensorrt").close()
    assert trt.state.builds == 1
    assert caplog.text.count("one to ten minutes") == 1


def test_another_gpu_or_version_gets_its_own_engine(tiny_model, cache, monkeypatch):
    for version, name in (("10.3.0", "A"), ("10.3.0", "B"), ("11.4.0.106", "A")):
        trt, _ = install(monkeypatch, version=version, name=name)
        open_backend(tiny_model, "tensorrt").close()
        assert trt.state.builds == 1
    assert len(list(cache.glob("*.engine"))) == 3


def test_an_engine_of_another_gpu_under_this_name_is_built_again(
    tiny_model, cache, monkeypatch, caplog
):
    trt, _ = install(monkeypatch, name="A")
    first = build_only(tiny_model)
    content = first.read_bytes(), first.with_suffix(".json").read_bytes()
    trt, _ = install(monkeypatch, name="B")
    second = build_only(tiny_model)
    second.write_bytes(content[0])
    second.with_suffix(".json").write_bytes(content[1])
    open_backend(tiny_model, "tensorrt").close()
    assert trt.state.builds == 2 and "built for another gpu" in caplog.text


def test_an_engine_that_does_not_load_is_built_again_once(tiny_model, cache, monkeypatch):
    trt, _ = install(monkeypatch)
    trt.state.loads_to_fail = 1
    open_backend(tiny_model, "tensorrt").close()
    assert trt.state.builds == 2
    trt.state.loads_to_fail = 2
    refused(lambda: open_backend(tiny_model, "tensorrt"), "does not load", "Fake GPU", "8.7")


def test_no_driver(tiny_model, cache, monkeypatch):
    install(monkeypatch, devices=0)
    refused(lambda: open_backend(tiny_model, "tensorrt"), "no usable NVIDIA GPU", "driver")


def test_no_cuda_bindings(tiny_model, cache, monkeypatch):
    install(monkeypatch)
    for name in ("cuda.bindings.runtime", "cuda.cudart", "cuda"):
        monkeypatch.setitem(sys.modules, name, None)
    refused(lambda: open_backend(tiny_model, "tensorrt"), "cuda-bindings", "pip install")


def test_wrong_major(tiny_model, cache, monkeypatch):
    trt, _ = install(monkeypatch)
    for version in ("7.2.3.4", "8.4.1", "12.0.0"):
        trt.__version__ = version
        refused(lambda: open_backend(tiny_model, "tensorrt"), version, "8.5 to 11.x")


def test_not_installed(tiny_model, cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    refused(lambda: TensorRtBackend(tiny_model), "TensorRT, which is not installed")


def test_out_of_memory(tiny_model, cache, monkeypatch):
    trt, cudart = install(monkeypatch, memory=1000)
    refused(lambda: open_backend(tiny_model, "tensorrt"), "too little free memory", "buffers")
    assert not cudart.live
    cudart.memory = 1 << 30
    trt.state.context_fails = True
    refused(lambda: open_backend(tiny_model, "tensorrt"), "too little free memory", "network")
    assert not cudart.live
    trt.state.build_error = "[defaultAllocator.cpp] Requested amount of GPU memory failed"
    refused(lambda: build_only(tiny_model, force=True), "cannot build", "end other programs")


def test_a_failing_gpu_is_one_sentence(tiny_model, cache, monkeypatch):
    _, cudart = install(monkeypatch)
    backend = open_backend(tiny_model, "tensorrt")
    cudart.launch_error = 719
    call = (np.ones((1, 96, 128, 3), np.uint8), np.ones((1, 4), np.float32))
    refused(lambda: backend.infer(*call), "cudaStreamSynchronize", "cudaErrorLaunchFailure")


def test_unwritable_cache(tiny_model, tmp_path, monkeypatch):
    trt, _ = install(monkeypatch)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HANDMESH_CACHE", str(tmp_path / "file" / "engines"))
    refused(lambda: open_backend(tiny_model, "tensorrt"), "engine cache", "HANDMESH_CACHE")
    assert trt.state.builds == 0, "minutes of building for nothing"


def test_graph_that_does_not_parse(tmp_path, tiny_model, cache, monkeypatch):
    from handmesh_ros.inference.backends.tensorrt.build import build_engine

    trt, _ = install(monkeypatch)
    refused(lambda: build_engine(trt, b"no graph", tmp_path / "x.onnx"), "cannot read", "x.onnx")


def test_graph_of_another_contract(tmp_path, cache, monkeypatch):
    import tiny_graph

    install(monkeypatch)
    path = tiny_graph.write_tiny_model(tmp_path)
    sidecar = path.with_suffix(".json")
    sidecar.write_text(sidecar.read_text().replace('"max_hands": 4', '"max_hands": 5'))
    refused(lambda: open_backend(path, "tensorrt"), "output `score`", "export the model again")


def test_auto_takes_tensorrt_or_says_why_not(tiny_model, cache, monkeypatch, caplog):
    _, cudart = install(monkeypatch)
    _warn_once.cache_clear()
    backend = open_backend(tiny_model)
    assert "TensorRT 10.3.0" in backend.name
    backend.close()
    cudart.devices = 0
    for _ in range(2):
        assert "ONNX Runtime" in open_backend(tiny_model).name
    reason = "tensorrt is not used, onnxruntime is next: CUDA finds no usable"
    assert caplog.text.count(reason) == 1


def test_engine_command(tiny_model, cache, monkeypatch, capsys):
    trt, _ = install(monkeypatch)
    assert cli.main(["engine", "build", str(tiny_model)]) == 0
    assert ".engine" in capsys.readouterr().out and trt.state.builds == 1
    assert cli.main(["engine", "verify", str(tiny_model)]) == 0
    assert "agrees with ONNX Runtime" in capsys.readouterr().out and trt.state.builds == 1
    assert cli.main(["engine", "build", "--force", str(tiny_model)]) == 0
    assert trt.state.builds == 2
    assert cli.main(["engine", "build", "none.onnx"]) == 1


def test_an_engine_that_drifts_is_refused_until_it_is_built_again(
    tiny_model, cache, monkeypatch, capsys
):
    install(monkeypatch)
    run = TensorRtBackend.infer

    def drifting(self, image, intrinsics):
        outputs = run(self, image, intrinsics)
        return {**outputs, "vertices": outputs["vertices"] + 0.002}

    with monkeypatch.context() as patch:
        patch.setattr(TensorRtBackend, "infer", drifting)
        assert cli.main(["engine", "verify", str(tiny_model)]) == 1
    assert "is refused" in capsys.readouterr().err
    refused(lambda: open_backend(tiny_model, "tensorrt"), "was refused", "3.46")
    assert "ONNX Runtime" in open_backend(tiny_model).name
    assert cli.main(["engine", "build", "--force", str(tiny_model)]) == 0
    open_backend(tiny_model, "tensorrt").close()

"""With NVIDIA's own packages where they are installed; neither needs a GPU for this.

pip install tensorrt-rtx-cu13 cuda-bindings
"""

from __future__ import annotations

import inspect
import json
import logging
from pathlib import Path

import pytest
from fake_cuda import FakeCudart

from handmesh_ros.cli import main as cli
from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.tensorrt.backend import build_only
from handmesh_ros.inference.backends.tensorrt.cuda import open_cuda
from handmesh_ros.inference.models import CAMERA_MODEL, REFINEMENT_MODEL

API = json.loads((Path(__file__).parent / "tensorrt_api.json").read_text())


@pytest.fixture
def rtx(monkeypatch, tmp_path):
    module = pytest.importorskip(
        "tensorrt_rtx", reason="builds real engines without a GPU: pip install tensorrt-rtx-cu13"
    )
    monkeypatch.setenv("HANDMESH_CACHE", str(tmp_path))
    return module


@pytest.fixture
def cudart():
    return pytest.importorskip("cuda.bindings.runtime", reason="pip install cuda-bindings")


def test_the_fake_has_the_shape_of_cuda_bindings(cudart):
    names = [name for name in vars(FakeCudart) if name.startswith("cuda")]
    assert len(names) > 20
    for name in names:
        real, fake = getattr(cudart, name), getattr(FakeCudart, name)
        if inspect.isfunction(fake):
            arguments = real.__doc__.partition("\n")[0].partition("(")[2].partition(")")[0]
            count = len([argument for argument in arguments.split(",") if argument.strip()])
            assert len(inspect.signature(fake).parameters) - 1 == count, name
        elif isinstance(fake, type):
            for member in fake:
                assert int(getattr(real, member.name)) == int(member), member
        else:
            assert int(real) == int(fake), name


def test_without_a_driver_cuda_is_one_sentence(cudart):
    if int(cudart.cudaGetDeviceCount()[0]) == 0:
        pytest.skip("there is a GPU")
    with pytest.raises(HandmeshError, match=r"no usable NVIDIA GPU here \(cudaError.*\.$"):
        open_cuda()


def test_rtx_builds_a_real_engine_of_the_graph(rtx, tiny_model, tmp_path, capsys):
    command = ["engine", "build", str(tiny_model), "--backend", "tensorrt_rtx"]
    assert cli.main(command) == 0
    (engine,) = tmp_path.glob("*.engine")
    description = json.loads(engine.with_suffix(".json").read_text())
    assert (description["library"], description["gpu"]) == ("tensorrt_rtx", "any")
    before = engine.stat().st_mtime_ns
    assert cli.main(command) == 0
    assert engine.stat().st_mtime_ns == before


@pytest.mark.parametrize("model", [CAMERA_MODEL, REFINEMENT_MODEL])
def test_rtx_builds_the_bundled_networks(rtx, model):
    path = build_only(model, "tensorrt_rtx")
    assert path.stat().st_size > 10e6


def test_rtx_refuses_a_graph_it_cannot_read(rtx, tmp_path, caplog):
    from handmesh_ros.inference.backends.tensorrt.build import build_engine

    caplog.set_level(logging.CRITICAL, "handmesh_ros")
    with pytest.raises(HandmeshError, match="TensorRT-RTX .* cannot read .*bad.onnx"):
        build_engine(rtx, b"not a graph", tmp_path / "bad.onnx")


def test_the_written_api_is_that_of_the_installed_version(rtx):
    classes = API["tensorrt_rtx"].get(rtx.__version__)
    if classes is None:
        pytest.skip(f"tensorrt_api.json does not describe {rtx.__version__}")
    for kind, members in classes.items():
        assert set(members) <= {"__init__", *dir(getattr(rtx, kind))}, kind

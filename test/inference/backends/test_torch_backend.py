from __future__ import annotations

import contextlib
import types
from dataclasses import asdict

import numpy as np
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.backends.base import output_shapes
from handmesh_ros.inference.backends.selection import open_backend
from handmesh_ros.inference.estimator import Estimator

torch = pytest.importorskip("torch", reason="needs torch: run `make test`")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from handmesh_ros.network.config import NetworkConfig
    from handmesh_ros.network.model import HandNetwork

    config = NetworkConfig(input_size=64, max_hands=3, channels=16, hidden=32, color_rank=4)
    torch.manual_seed(0)
    network = HandNetwork(config, HandTemplate.bundled())
    path = tmp_path_factory.mktemp("checkpoint") / "small.ckpt"
    state = {f"network.{name}": values for name, values in network.state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": {"network": asdict(config)}}, path)
    return path


def test_outputs_follow_the_contract(checkpoint):
    backend = open_backend(checkpoint)
    outputs = backend.infer(
        np.ones((1, 64, 64, 3), np.uint8), np.array([[60, 60, 32, 32]], np.float32)
    )
    assert {name: values.shape for name, values in outputs.items()} == output_shapes(
        backend.sidecar
    )
    assert "PyTorch" in backend.name
    backend.close()


def test_estimator_runs_a_checkpoint(checkpoint):
    estimator = Estimator.from_file(checkpoint, score_threshold=0.0)
    image = np.random.default_rng(0).integers(0, 256, (48, 100, 3), dtype=np.uint8)
    hands = estimator.detect(image)
    assert 1 <= len(hands) <= 3
    assert estimator.model_id == "small"


def test_damaged_checkpoint(tmp_path):
    (tmp_path / "broken.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(HandmeshError, match="not a training checkpoint"):
        open_backend(tmp_path / "broken.ckpt")


def test_onnxruntime_refuses_a_checkpoint(checkpoint):
    with pytest.raises(HandmeshError, match="cannot load small.ckpt"):
        open_backend(checkpoint, "onnxruntime")


def test_float16_runs_beside_float32(checkpoint):
    from handmesh_ros.inference.backends.torch import TorchBackend

    backend = TorchBackend(checkpoint, precision="float16")
    image, camera = np.ones((1, 64, 64, 3), np.uint8), np.array([[60, 60, 32, 32]], np.float32)
    assert backend.name.endswith("float16")
    assert {values.dtype for values in backend.infer(image, camera).values()} == {
        np.dtype(np.float32)
    }


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_cuda_graph_without_a_gpu_is_one_sentence(checkpoint):
    from handmesh_ros.inference.backends.torch import TorchBackend

    with pytest.raises(HandmeshError, match="no NVIDIA GPU to record"):
        TorchBackend(checkpoint, cuda_graph=True)


def test_what_cannot_be_recorded_is_one_sentence(monkeypatch):
    from handmesh_ros.inference.backends import torch as torch_backend

    def refuse(*arguments, **options):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(torch_backend.torch.cuda, "CUDAGraph", lambda: None)
    monkeypatch.setattr(torch_backend.torch.cuda, "Stream", refuse)
    cpu = torch.device("cpu")
    with pytest.raises(HandmeshError, match="cannot record .*not permitted") as error:
        torch_backend._Recording(torch.nn.Identity(), (64, 64), cpu)
    assert "\n" not in str(error.value)


class FakeGraph:
    """Stands in for a CUDA graph: replaying runs what was recorded, on what lies in its place."""

    def __init__(self):
        self.replay = None


class Doubling(torch.nn.Module):
    """A network whose outputs tell what it was given."""

    def forward(self, image, intrinsics):
        self.found = {"a": 2.0 * image.float().sum().reshape(1), "b": 3.0 * intrinsics}
        return self.found


@pytest.fixture
def fake_recording(monkeypatch):
    """A `_Recording` of `Doubling` on the CPU, by a fake of torch.cuda."""
    from handmesh_ros.inference.backends import torch as torch_backend

    cuda, network, log = torch_backend.torch.cuda, Doubling(), []
    graph = FakeGraph()

    @contextlib.contextmanager
    def record(given):
        assert given is graph
        yield
        log.append("recorded")

    stream = types.SimpleNamespace(
        wait_stream=lambda other: None, synchronize=lambda: log.append("waited")
    )
    monkeypatch.setattr(cuda, "CUDAGraph", lambda: graph)
    monkeypatch.setattr(cuda, "Stream", lambda: stream)
    monkeypatch.setattr(cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(cuda, "stream", lambda chosen: contextlib.nullcontext())
    monkeypatch.setattr(cuda, "graph", record)
    recording = torch_backend._Recording(network, (8, 8), torch.device("cpu"))

    def replay():
        with torch.inference_mode():
            again = network(recording._image, recording._intrinsics)
            recording._found.copy_(torch_backend._joined(again))
        log.append("replayed")

    graph.replay = replay
    return recording, log


def test_a_recorded_call_copies_up_replays_and_waits(fake_recording):
    recording, log = fake_recording
    for value in (1, 5):
        with torch.inference_mode():
            results = recording.replay(
                np.full((1, 8, 8, 3), value, np.uint8), np.full((1, 4), value, np.float32)
            )
        assert results["a"] == [2.0 * value * 192]
        np.testing.assert_array_equal(results["b"], np.full((1, 4), 3.0 * value))
    assert log == ["recorded", "replayed", "waited", "replayed", "waited"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_cuda_graph_gives_what_eager_gives(checkpoint):
    from handmesh_ros.inference.backends.torch import TorchBackend

    image = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    camera = np.array([[60, 60, 32, 32]], np.float32)
    eager = TorchBackend(checkpoint).infer(image, camera)
    recorded = TorchBackend(checkpoint, cuda_graph=True)
    recorded.infer(np.zeros_like(image), camera)
    for name, values in recorded.infer(image, camera).items():
        np.testing.assert_allclose(values, eager[name], atol=1e-4, err_msg=name)

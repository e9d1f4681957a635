from __future__ import annotations

import importlib.util
import json
import sys
import time
import types
from types import SimpleNamespace

import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends import cpu_choice, cpu_timing
from handmesh_ros.inference.backends import selection as backend_module
from handmesh_ros.inference.backends.selection import open_backend


class Sleeper:
    """A backend that takes a given time."""

    name, sidecar = "a sleeper", SimpleNamespace(input_size=(8, 8), takes="image")

    def __init__(self, seconds):
        self.seconds, self.closed = seconds, False

    def infer(self, image, intrinsics):
        assert image.shape == (1, 8, 8, 3) and intrinsics.shape == (1, 4)
        time.sleep(self.seconds)
        return {}

    def close(self):
        self.closed = True


class Opener:
    """Opens `Sleeper`s by name and remembers them."""

    def __init__(self, **seconds):
        self.seconds, self.opened = seconds, []

    def __call__(self, name):
        if self.seconds[name] is None:
            raise HandmeshError(f"{name} is broken.")
        self.opened.append(Sleeper(self.seconds[name]))
        return self.opened[-1]

    def measure(self):
        return cpu_timing.measure(self)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    for name in ("onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(__version__="1"))
    monkeypatch.setenv("HANDMESH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_faster_one_is_taken_and_remembered(cache):
    opener = Opener(onnxruntime=0.005, openvino=0.001)
    name, reason = cpu_choice.choose("abc", None, opener.measure)
    assert name == "openvino" and "onnxruntime" in reason and "ms" in reason
    assert len(opener.opened) == 2 and all(backend.closed for backend in opener.opened)
    forbidden = Opener(onnxruntime=None, openvino=None)
    assert cpu_choice.choose("abc", None, forbidden.measure)[0] == "openvino"
    (file,) = cache.iterdir()
    assert json.loads(file.read_text())["milliseconds"]["openvino"] < 5


def test_a_small_gain_is_not_worth_it():
    milliseconds = {"onnxruntime": 5.0, "openvino": 4.9}
    assert cpu_choice.choose("abc", None, lambda: milliseconds)[0] == "onnxruntime"


@pytest.mark.parametrize("change", ["threads", "graph", "version"])
def test_what_it_depends_on_is_measured_again(change, monkeypatch):
    cpu_choice.choose("abc", None, Opener(onnxruntime=0.004, openvino=0.001).measure)
    if change == "version":
        monkeypatch.setattr(cpu_choice.metadata, "version", lambda name: "2")
    graph, threads = ("abd" if change == "graph" else "abc"), (1 if change == "threads" else None)
    opener = Opener(onnxruntime=0.001, openvino=0.004)
    assert cpu_choice.choose(graph, threads, opener.measure)[0] == "onnxruntime"


def test_a_damaged_file_is_measured_again(cache):
    cpu_choice.choose("abc", None, Opener(onnxruntime=0.004, openvino=0.001).measure)
    (file,) = cache.iterdir()
    file.write_text("[]")
    opener = Opener(onnxruntime=0.001, openvino=0.004)
    assert cpu_choice.choose("abc", None, opener.measure)[0] == "onnxruntime"


def test_without_a_place_to_keep_it_it_still_works(cache, caplog):
    cache.write_text("in the way")
    opener = Opener(onnxruntime=0.004, openvino=0.001)
    assert cpu_choice.choose("abc", None, opener.measure)[0] == "openvino"
    assert "HANDMESH_CACHE" in caplog.text


def test_where_one_cannot_be_opened_the_usual_one_is_taken():
    name, reason = cpu_choice.choose("abc", None, Opener(onnxruntime=0.001, openvino=None).measure)
    assert name == "onnxruntime" and "openvino is broken" in reason


def test_where_one_does_not_load_the_usual_one_is_taken(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    name, reason = cpu_choice.choose("abc", None, Opener(onnxruntime=None, openvino=None).measure)
    assert name == "onnxruntime" and "openvino cannot be used" in reason


def test_auto_opens_the_chosen_one_and_says_why(tiny_model, monkeypatch, caplog):
    opened = []
    monkeypatch.setattr(backend_module, "_has_openvino", lambda: True)
    monkeypatch.setattr(backend_module, "_lists_cuda", lambda: False)
    monkeypatch.setattr(
        backend_module, "_open", lambda path, name, threads: opened.append(name) or Sleeper(0)
    )
    monkeypatch.setattr(cpu_choice, "choose", lambda *arguments: ("openvino", "it is faster"))
    monkeypatch.setattr(backend_module, "AUTO_ORDER", ("onnxruntime",))
    with caplog.at_level("INFO", logger="handmesh_ros"):
        open_backend(tiny_model)
    assert opened == ["openvino"] and "The CPU backend is openvino: it is faster" in caplog.text


@pytest.mark.parametrize("chosen", ["onnxruntime", "openvino"])
def test_a_cuda_build_without_cuda_is_measured_on_the_cpu_as_any_other(
    tiny_model, monkeypatch, chosen
):
    opened = []

    def open_one(path, name, threads):
        opened.append(Sleeper(0))
        opened[-1].on_gpu, opened[-1].kind = False, name
        return opened[-1]

    monkeypatch.setattr(backend_module, "_has_openvino", lambda: True)
    monkeypatch.setattr(backend_module, "_lists_cuda", lambda: True)
    monkeypatch.setattr(backend_module, "_open", open_one)
    monkeypatch.setattr(cpu_choice, "choose", lambda *arguments: (chosen, "it is faster"))
    monkeypatch.setattr(backend_module, "AUTO_ORDER", ("onnxruntime",))
    taken = open_backend(tiny_model)
    assert taken.kind == chosen and not taken.closed
    assert all(backend.closed for backend in opened if backend is not taken)


def test_a_session_on_the_gpu_is_compared_with_nothing(tiny_model, monkeypatch):
    backend = Sleeper(0)
    backend.on_gpu = True
    monkeypatch.setattr(backend_module, "_has_openvino", lambda: True)
    monkeypatch.setattr(backend_module, "_lists_cuda", lambda: True)
    monkeypatch.setattr(backend_module, "_open", lambda path, name, threads: backend)
    monkeypatch.setattr(cpu_choice, "choose", lambda *arguments: pytest.fail("measured"))
    monkeypatch.setattr(backend_module, "AUTO_ORDER", ("onnxruntime",))
    assert open_backend(tiny_model) is backend


@pytest.fixture
def real_libraries(monkeypatch):
    """Undoes `cache`: the libraries themselves."""
    for name in ("onnxruntime", "openvino"):
        monkeypatch.delitem(sys.modules, name)


def test_both_are_measured_in_another_process(tiny_model, real_libraries):
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("needs openvino: run `make test`")
    milliseconds = cpu_choice.measure_apart(tiny_model, 1)
    assert set(milliseconds) == {"onnxruntime", "openvino"} and min(milliseconds.values()) > 0


def test_what_cannot_be_measured_is_said_by_the_other_process(tmp_path):
    with pytest.raises(HandmeshError, match="could not be measured: There is no model at"):
        cpu_choice.measure_apart(tmp_path / "nothing.onnx", None)

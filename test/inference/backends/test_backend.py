from __future__ import annotations

import importlib.util
import json
import shutil
import sys

import numpy as np
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends import selection as backend_module
from handmesh_ros.inference.backends.base import output_shapes
from handmesh_ros.inference.backends.selection import open_backend
from handmesh_ros.inference.sidecar import Sidecar


@pytest.fixture
def model(tiny_model, tmp_path):
    """A copy of the tiny model that the test may damage."""
    for suffix in (".onnx", ".json"):
        shutil.copy(tiny_model.with_suffix(suffix), tmp_path)
    return tmp_path / tiny_model.name


def edit_sidecar(model, **changes):
    path = model.with_suffix(".json")
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))


def rehash(model):
    import hashlib

    edit_sidecar(model, onnx_sha256=hashlib.sha256(model.read_bytes()).hexdigest())


def assert_one_sentence(error):
    text = str(error.value)
    assert "\n" not in text and text.endswith(".")


def test_outputs_follow_the_contract(tiny_model):
    backend = open_backend(tiny_model, "onnxruntime", threads=1)
    height, width = backend.sidecar.input_size
    image = np.ones((1, height, width, 3), np.uint8)
    outputs = backend.infer(image, np.array([[100, 100, 64, 48]], np.float32))
    assert {name: values.shape for name, values in outputs.items()} == output_shapes(
        backend.sidecar
    )
    assert "ONNX Runtime" in backend.name
    backend.close()


def test_auto_says_what_it_took(tiny_model, caplog, monkeypatch):
    monkeypatch.setattr(backend_module, "_has_openvino", lambda: False)
    with caplog.at_level("INFO", logger="handmesh_ros"):
        open_backend(tiny_model)
    assert "tiny.onnx runs on ONNX Runtime" in caplog.text


def test_sidecar_survives_writing(tiny_model, tmp_path):
    sidecar = Sidecar.read(tiny_model.with_suffix(".json"))
    sidecar.write(tmp_path / "copy.json")
    assert Sidecar.read(tmp_path / "copy.json") == sidecar


def test_a_file_that_is_no_model_is_one_sentence(tmp_path):
    text = tmp_path / "model.txt"
    text.write_text("not a model")
    with pytest.raises(HandmeshError, match="is no model") as error:
        open_backend(text)
    assert_one_sentence(error)


def test_missing_model(tmp_path):
    with pytest.raises(HandmeshError, match="no model at") as error:
        open_backend(tmp_path / "none.onnx")
    assert_one_sentence(error)


def test_missing_sidecar(model):
    model.with_suffix(".json").unlink()
    with pytest.raises(HandmeshError, match="beside the model") as error:
        open_backend(model)
    assert_one_sentence(error)


def test_damaged_graph_is_noticed_by_its_hash(model):
    model.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(HandmeshError, match="not the model that its sidecar describes") as error:
        open_backend(model)
    assert_one_sentence(error)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x08\x00\xff", "cannot load"),
        (b"not a graph\n", "is empty or a text file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:52846537\n", "git lfs pull"),
        (b"", "is empty or a text file"),
    ],
)
def test_file_that_is_no_graph(model, content, message):
    model.write_bytes(content)
    rehash(model)
    with pytest.raises(HandmeshError, match=message) as error:
        open_backend(model)
    assert_one_sentence(error)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "does not describe a handmesh graph"),
        ({"contract": 2}, "contract 2"),
        ({"keypoint_order": ["wrist"]}, "another order"),
        ({"input_size": "big"}, "wrong field"),
        ({"input_size": [0, 256]}, "must be positive"),
        ({"score_threshold": 1.5}, "score_threshold"),
        ({"score_threshold": [0.5]}, "no number"),
        ({"score_threshold": True}, "True is no number"),
        ({"score_threshold": float("nan")}, "score_threshold"),
        ({"max_hands": float("inf")}, "wrong field"),
        ({"max_hands": 10**400}, "wrong field"),
        ({"max_hands": 10.5}, "10.5 is no whole number"),
        ({"input_size": [256, "256"]}, "no number"),
        ({"model_id": ["tiny"]}, "no text"),
        ({"metrics": 3}, "wrong field"),
        ({"hand_model": "open_hand"}, "wrong field"),
        ({"hand_model": {"name": "x"}}, "lacks the field 'sha256'"),
        ({"takes": "pictures"}, r"\(takes must be 'image' or 'crops', not 'pictures'\)"),
        ({"takes": 5}, "5 is no text"),
        ({"takes": "crops"}, "says that it takes crops of hands, but it does not"),
        ({"input_size": [64, 64]}, "input `image`"),
        ({"max_hands": 5}, "output `score`"),
    ],
)
def test_sidecars_that_do_not_fit(model, changes, message):
    edit_sidecar(model, **changes)
    with pytest.raises(HandmeshError, match=message) as error:
        open_backend(model)
    assert_one_sentence(error)


@pytest.mark.parametrize(
    "text", ["{", "[]", "", "[" * 100_000, '{"format": 1, "format": 2}', "\udcff"]
)
def test_sidecars_that_are_no_sidecars(model, text):
    model.with_suffix(".json").write_text(text, errors="surrogateescape")
    with pytest.raises(HandmeshError) as error:
        open_backend(model)
    assert_one_sentence(error)


def test_unknown_backend(model):
    with pytest.raises(HandmeshError, match="no backend 'warp'") as error:
        open_backend(model, "warp")
    assert_one_sentence(error)


def test_backend_of_another_kind_of_file(model):
    with pytest.raises(HandmeshError, match="cannot load tiny.onnx") as error:
        open_backend(model, "torch")
    assert_one_sentence(error)


@pytest.mark.parametrize("backend", ["auto", "onnxruntime"])
def test_a_package_that_does_not_load_is_one_sentence(model, monkeypatch, backend):
    monkeypatch.delitem(sys.modules, "handmesh_ros.inference.backends.onnxruntime", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: "tensorrt" not in name or None)
    with pytest.raises(
        HandmeshError, match=r"onnxruntime, which does not load \(.*\): pip"
    ) as error:
        open_backend(model, backend)
    assert_one_sentence(error)


def test_missing_package_says_how_to_get_it(model, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HandmeshError, match="pip install onnxruntime") as error:
        open_backend(model)
    assert_one_sentence(error)

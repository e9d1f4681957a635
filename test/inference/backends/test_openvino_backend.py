from __future__ import annotations

import shutil

import numpy as np
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.base import output_shapes
from handmesh_ros.inference.backends.onnxruntime import OnnxRuntimeBackend
from handmesh_ros.inference.backends.parity import FLOAT32_LIMIT, compare
from handmesh_ros.inference.backends.selection import open_backend

openvino = pytest.importorskip("openvino", reason="needs the extra [openvino]")


def test_outputs_follow_the_contract_and_agree_with_onnxruntime(tiny_model):
    backend = open_backend(tiny_model, "openvino", threads=1)
    height, width = backend.sidecar.input_size
    image = np.ones((1, height, width, 3), np.uint8)
    outputs = backend.infer(image, np.array([[100, 100, 64, 48]], np.float32))
    shapes = {name: values.shape for name, values in outputs.items()}
    assert shapes == output_shapes(backend.sidecar)
    assert {values.dtype for values in outputs.values()} == {np.dtype(np.float32)}
    assert backend.name.startswith("OpenVINO 20") and backend.name.endswith("on CPU, 1 thread")
    assert compare(backend, OnnxRuntimeBackend(tiny_model, cuda=False)).within(FLOAT32_LIMIT)
    backend.close()


def test_bfloat16_only_where_the_cpu_has_it(tiny_model):
    abilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if "BF16" in abilities:
        assert "bfloat16" in open_backend(tiny_model, "openvino_bf16").name
    else:
        with pytest.raises(HandmeshError, match="does not calculate in bfloat16"):
            open_backend(tiny_model, "openvino_bf16")


def test_a_file_that_is_no_graph_is_one_sentence(tiny_model, tmp_path):
    import hashlib
    import json

    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"\x00\xff not a graph")
    shutil.copy(tiny_model.with_suffix(".json"), tmp_path)
    content = json.loads((tmp_path / "tiny.json").read_text())
    content["onnx_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "tiny.json").write_text(json.dumps(content))
    with pytest.raises(HandmeshError, match="OpenVINO .* cannot load") as error:
        open_backend(path, "openvino")
    assert "\n" not in str(error.value)

from handmesh_ros.inference.models import (
    BUNDLED_MODELS,
    CAMERA_MODEL,
    DETAIL_MODEL,
    files_of,
    find_model,
)
from handmesh_ros.inference.sidecar import Sidecar


def test_the_bundled_models_have_the_sizes_they_promise():
    sidecars = {name: Sidecar.read(p.with_suffix(".json")) for name, p in BUNDLED_MODELS.items()}
    sizes = {name: sidecar.input_size for name, sidecar in sidecars.items()}
    assert sizes == {"mobile": (288, 384), "mobile_512": (512, 512), "refine": (224, 224)}


def test_names_are_bundled_models_and_all_else_is_a_path(tmp_path):
    assert find_model() == find_model("") == find_model("mobile") == CAMERA_MODEL
    assert find_model("mobile_512") == DETAIL_MODEL
    assert find_model(tmp_path / "a.onnx") == tmp_path / "a.onnx"
    assert str(find_model("mobile.onnx")) == "mobile.onnx"


def test_a_path_without_a_name_has_no_sidecar(tmp_path):
    assert list(files_of([".", "/", None, ""])) == [find_model("."), find_model("/")]
    graph = tmp_path / "a.onnx"
    assert list(files_of([graph])) == [graph, tmp_path / "a.json"]

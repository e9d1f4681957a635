import numpy as np
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.selection import open_backend
from handmesh_ros.inference.effort import Effort
from handmesh_ros.inference.models import CAMERA_MODEL, DETAIL_MODEL, REFINEMENT_MODEL
from handmesh_ros.inference.multi_scale import MultiScaleDetector
from handmesh_ros.inference.opening import Models, open_finder


class Opener:
    """Opens graphs and remembers which."""

    def __init__(self):
        self.opened, self.closed = [], []

    def __call__(self, path, backend="auto", *, threads=None):
        opened = open_backend(path, "onnxruntime", threads=threads)
        self.opened.append(path)
        close = opened.close
        opened.close = lambda: (self.closed.append(path), close())
        return opened


def test_the_bundled_models_find_and_refine_hands(tiny_model):
    opener = Opener()
    finder = open_finder(opener=opener)
    assert opener.opened == [CAMERA_MODEL, REFINEMENT_MODEL]
    assert finder.refines and finder.model_id.startswith("mobile-")
    assert len(finder.detect(np.zeros((48, 64, 3), np.uint8))) == 0
    finder.close()
    assert sorted(opener.closed) == sorted(opener.opened)


@pytest.mark.parametrize(
    ("models", "effort", "detail", "refinement"),
    [
        (Models(), Effort.FAST, None, REFINEMENT_MODEL),
        (Models(), Effort.BEST, DETAIL_MODEL, REFINEMENT_MODEL),
        (Models("mobile"), Effort.BALANCED, DETAIL_MODEL, REFINEMENT_MODEL),
        (Models("own.onnx"), Effort.BEST, None, None),
        (
            Models("own.onnx", "larger.onnx", "crops.onnx"),
            Effort.FAST,
            "larger.onnx",
            "crops.onnx",
        ),
        (Models("", "", ""), Effort.FAST, "", REFINEMENT_MODEL),
    ],
)
def test_bundled_models_go_with_bundled_models(models, effort, detail, refinement):
    assert models.detail_model_for(effort) == detail
    assert models.refinement_model_in_use() == refinement


def test_effort_loads_what_it_needs():
    balanced = open_finder(backend="onnxruntime", effort=Effort.BALANCED, refine=False)
    assert (
        isinstance(balanced.finder, MultiScaleDetector)
        and not balanced.refines
        and not balanced.lack
    )
    balanced.close()


def test_a_refinement_model_that_cannot_be_used_is_an_error_or_a_reason(tiny_model, tmp_path):
    opener = Opener()
    models = Models(tiny_model, refinement_model=tiny_model)
    with pytest.raises(HandmeshError, match="give a refinement model"):
        open_finder(models, must_refine=True, opener=opener)
    assert opener.closed == [tiny_model, tiny_model]
    finder = open_finder(Models(tiny_model, refinement_model=tmp_path / "none.onnx"))
    assert "There is no model" in finder.lack and not finder.refines
    assert len(finder.detect(np.full((60, 80, 3), 200, np.uint8))) == 2
    assert finder.problem == finder.lack


def test_a_refinement_model_cannot_find_hands():
    with pytest.raises(HandmeshError, match="reads crops of hands and cannot find them"):
        open_finder(Models("refine"), "onnxruntime")


@pytest.mark.parametrize("option", [{"effort": "wild"}, {"max_refined_hands": 0}])
def test_options_that_are_not_possible(option):
    with pytest.raises(HandmeshError, match="wild|max_refined_hands"):
        open_finder(**option)


@pytest.mark.parametrize(
    ("models", "refine", "greatest"),
    [
        (Models(), True, Effort.BEST),
        (Models(), False, Effort.BALANCED),
        (Models("own.onnx"), True, Effort.FAST),
        (Models("own.onnx", "larger.onnx"), True, Effort.BALANCED),
        (Models("own.onnx", refinement_model="refine"), True, Effort.BEST),
        (Models("own.onnx", refinement_model="refine"), False, Effort.FAST),
    ],
)
def test_an_effort_that_would_not_be_made_is_refused(models, refine, greatest):
    assert models.greatest_effort(refine=refine) is greatest
    levels = list(Effort)
    for effort in levels[levels.index(greatest) + 1 :]:
        needed = f"effort {effort.value} needs a refinement model.*the effort {greatest.value}"
        with pytest.raises(HandmeshError, match=needed):
            open_finder(models, effort=effort, refine=refine)

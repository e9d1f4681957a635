from __future__ import annotations

import numpy as np
import pytest

from handmesh_ros.inference.backends.onnxruntime import OnnxRuntimeBackend
from handmesh_ros.inference.backends.parity import (
    FLOAT32_LIMIT,
    REDUCED_LIMIT,
    compare,
    drift,
    fixed_images,
)


@pytest.fixture
def outputs(tiny_model):
    backend = OnnxRuntimeBackend(tiny_model)
    image, intrinsics = next(iter(fixed_images(backend.sidecar.input_size)))
    assert image.shape == (1, 96, 128, 3) and image.dtype == np.uint8
    # The tiny graph finds one hand twice; parity compares hands that lie apart.
    return {name: values[[0, 1, 3]] for name, values in backend.infer(image, intrinsics).items()}


def test_the_same_backend_does_not_drift(tiny_model):
    found = compare(OnnxRuntimeBackend(tiny_model), OnnxRuntimeBackend(tiny_model))
    assert found.within(FLOAT32_LIMIT) and found.found_again == 1


def test_the_order_of_slots_does_not_matter(outputs):
    swapped = {name: values[::-1] for name, values in outputs.items()}
    assert drift([(swapped, outputs)]).within(FLOAT32_LIMIT)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("vertices", 0.002),
        ("joints", np.nan),
        ("joints_2d", 2.0),
        ("translation", 0.05),
        ("centre", 3.0),
    ],
)
def test_differences_are_found(outputs, name, change):
    changed = {**outputs, name: outputs[name] + np.float32(change)}
    assert not drift([(changed, outputs)]).within(REDUCED_LIMIT)


def test_slots_below_the_threshold_do_not_count_but_the_best_does(outputs):
    far = {**outputs, "vertices": outputs["vertices"] + np.float32([[[0]], [[0]], [[1]]])}
    assert drift([(far, outputs)], 0.3).within(FLOAT32_LIMIT)
    assert not drift([(far, outputs)], 0.0).within(REDUCED_LIMIT)
    nothing = {**outputs, "vertices": outputs["vertices"] + np.float32(1)}
    assert not drift([(nothing, outputs)], 2.0).within(REDUCED_LIMIT)

from __future__ import annotations

from dataclasses import replace

import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.backends.selection import open_backend
from handmesh_ros.inference.estimator import Estimator


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "mano_right"}, "puts out the hand 'open_hand'"),
        ({"sha256": "0" * 64}, "another version of the hand"),
    ],
)
def test_model_of_another_hand_is_refused(tiny_model, change, message):
    template = replace(HandTemplate.bundled(), **change)
    with pytest.raises(HandmeshError, match=message) as error:
        Estimator(open_backend(tiny_model), template=template)
    assert "\n" not in str(error.value)
    with pytest.raises(HandmeshError, match=message) as error:
        Estimator.from_file(tiny_model, template=template)
    assert str(tiny_model) in str(error.value)

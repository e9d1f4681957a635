"""`VideoTracker`: what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.estimator import Estimator
from handmesh_ros.tracking.video import VideoTracker

IMAGE, CAMERA = np.zeros((48, 64, 3), np.uint8), np.array([60.0, 60, 32, 24])


@pytest.mark.parametrize("look_every", [0, -1, 2.5, "4", None, True])
def test_how_often_to_search_is_a_whole_number_of_at_least_1(tiny_model, look_every):
    with pytest.raises(HandmeshError, match="look_every is .*: give 1 or more"):
        VideoTracker(Estimator.from_file(tiny_model), look_every=look_every)


@pytest.mark.parametrize("stamp_s", [float("nan"), float("inf"), None, "0.1"])
def test_a_stamp_that_is_not_finite_changes_nothing(tiny_model, stamp_s):
    tracker = VideoTracker(Estimator.from_file(tiny_model))
    ids = tracker.update(IMAGE, CAMERA, 0.0).track_id.tolist()
    with pytest.raises(HandmeshError, match="The stamp of an image is"):
        tracker.update(IMAGE, CAMERA, stamp_s)
    assert tracker.update(IMAGE, CAMERA, 1 / 30).track_id.tolist() == ids

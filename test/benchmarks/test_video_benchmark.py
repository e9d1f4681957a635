from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("moderngl", reason="needs the extra [train]: run `make test`")

from benchmarks.scenes import NO_NOISE, Actor, Stage
from benchmarks.tracking import scenes
from benchmarks.video import Named, SceneRenderer, watch
from handmesh_ros.errors import HandmeshError

SIDES = [True, False]


def frames_of(*actors, duration_s=0.2):
    return list(Stage(NO_NOISE).play(list(actors), duration_s))


def at(x, y=0.05, z=0.6):
    return lambda time_s: np.array([x + 0.01 * time_s, y, z])


@pytest.fixture(scope="module")
def renderer():
    try:
        return SceneRenderer(7, None, None)
    except HandmeshError as error:  # no EGL
        pytest.skip(str(error))


@pytest.mark.parametrize("is_right", SIDES)
@pytest.mark.parametrize("size", [0.85, 1.1])
def test_hands_are_drawn_where_the_truth_has_them(renderer, is_right, size):
    (empty,) = frames_of(Actor(True, at(5.0)), duration_s=0.04)
    (frame,) = frames_of(Actor(is_right, at(0.02), size=size), duration_s=0.04)
    assert not len(empty.truth) and len(frame.truth) == 1
    drawn = (renderer.render(frame).astype(int) != renderer.render(empty)).any(2)
    points = frame.truth.keypoints_2d[0].round().astype(int)
    assert drawn[points[:, 1], points[:, 0]].mean() > 0.9
    top = np.flatnonzero(drawn.any(1))[0]
    assert abs(top - points[:, 1].min()) < 15, "nothing is drawn above the highest fingertip"


def test_a_board_hides_a_hand(renderer):
    seen, hidden = (
        frames_of(Actor(True, at(0.0), lambda _, hidden=hidden: hidden), duration_s=0.04)[0]
        for hidden in (False, True)
    )
    assert hidden.hidden.all() and hidden.screened.all() and not seen.hidden.any()
    points = seen.truth.keypoints_2d[0].round().astype(int)
    changed = (renderer.render(seen).astype(int) != renderer.render(hidden)).any(2)
    assert changed[points[:, 1], points[:, 0]].mean() > 0.9


class Truth:
    """A finder that knows the truth but for what `change` does to the ids."""

    def __init__(self, frames, change=lambda ids, number: ids):
        self.frames, self.change, self.number = frames, change, -1

    def __call__(self, image, stamp_s):
        self.number += 1
        frame = self.frames[self.number]
        seen = np.flatnonzero(~frame.hidden)
        return self.change(frame.identity[seen], self.number), frame.truth.keypoints_2d[seen]


def test_the_truth_scores_one_and_swapped_ids_cost():
    pytest.importorskip("trackeval", reason="needs the extra [benchmark]: run `make test`")
    actors, _ = scenes()["occluded for 0.5 s"]
    frames = frames_of(*actors, duration_s=2.0)
    images = [np.zeros((1, 1, 3), np.uint8)] * len(frames)
    assert any(frame.hidden.any() for frame in frames)
    perfect = watch(frames, images, Truth(frames))
    assert perfect["IDF1"] == perfect["MOTA"] == 1.0 and perfect["switches"] == 0
    swapped = watch(frames, images, Truth(frames, lambda ids, number: (ids + number // 30) % 2))
    assert swapped["IDF1"] < 0.7 and swapped["switches"] > 0
    nobody = watch(frames, images, lambda image, stamp_s: (np.zeros(0), np.zeros((0, 21, 2))))
    assert nobody["IDF1"] == 0.0


def test_side_and_rank_stand_for_an_identity():
    (frame,) = frames_of(*(Actor(side, at(0.1 * x)) for x, side in enumerate([True, False, True])),
                         duration_s=0.04)  # fmt: skip
    ids, keypoints = Named(SimpleNamespace(detect=lambda image: frame.truth)).find(
        np.zeros((1, 1, 3), np.uint8), 0.0
    )
    assert len(set(ids)) == len(ids) == 3 == len(keypoints)
    assert (ids % 2).tolist() == [1, 0, 1]

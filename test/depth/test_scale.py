import numpy as np
import pytest

from benchmarks.drawn_depth import drawn_depth, spoiled
from benchmarks.scenes import CENTRE_PX, FOCAL_PX, NO_NOISE, Actor, Stage
from benchmarks.tracking import swing
from handmesh_ros.depth.scale import measure_scale, visible_vertices, with_depth
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands, ScaleSource
from handmesh_ros.hand.size import rescaled

INTRINSICS = np.array([FOCAL_PX, FOCAL_PX, *CENTRE_PX])
SIZE = (480, 640)


@pytest.fixture(scope="module")
def hands() -> Hands:
    """A right and a left hand, without noise, with meshes."""
    actors = [
        Actor(True, swing((0.12, 0.05, 0.55), (0.0, 0.0, 0.0), 1.0)),
        Actor(False, swing((-0.12, 0.05, 0.7), (0.0, 0.0, 0.0), 1.0), phase=1.0),
    ]
    return next(iter(Stage(NO_NOISE, with_mesh=True).play(actors, 0.03))).truth


@pytest.fixture(scope="module")
def clean_depth(hands) -> np.ndarray:
    """(H, W) metres of these hands before a wall."""
    return drawn_depth(hands.vertices, INTRINSICS, SIZE)


def test_visible_vertices_are_those_in_front(hands):
    pixels, visible = visible_vertices(hands.vertices, INTRINSICS, SIZE)
    assert 0.25 < visible.mean() < 0.75
    behind = rescaled(hands, np.full(2, 1.3), hands.scale_source)
    both = np.concatenate([hands.vertices, behind.vertices])
    _, visible = visible_vertices(both, INTRINSICS, SIZE)
    assert visible[2:].mean() < 0.05


@pytest.mark.parametrize("wrong", [0.6, 0.85, 1.0, 1.15, 1.6])
def test_wrist_error_with_noise_holes_and_flying_pixels(hands, clean_depth, wrong):
    found = rescaled(hands, np.full(2, wrong), hands.scale_source)
    errors = []
    for seed in range(3):
        scale = measure_scale(found, spoiled(clean_depth, seed), INTRINSICS)
        assert scale.reliable.all() and (scale.inlier_ratio > 0.5).all()
        fixed = with_depth(found, scale)
        assert (fixed.scale_source == ScaleSource.DEPTH).all()
        errors += np.linalg.norm(fixed.translation - hands.translation, axis=1).tolist()
    assert np.median(errors) < 0.010
    np.testing.assert_array_equal(fixed.keypoints_2d, hands.keypoints_2d)


def test_a_hand_without_depth_keeps_its_assumed_size(hands, clean_depth):
    depth = clean_depth.copy()
    depth[:, 320:] = 0.0
    fixed = with_depth(hands, measure_scale(hands, depth, INTRINSICS))
    right = int(np.argmax(hands.translation[:, 0]))
    assert fixed.scale_source[right] == ScaleSource.ASSUMED
    assert fixed.scale_source[1 - right] == ScaleSource.DEPTH
    np.testing.assert_array_equal(fixed.joints[right], hands.joints[right])


def test_a_wall_alone_is_no_hand(hands):
    scale = measure_scale(hands, np.full(SIZE, 4.0, np.float32), INTRINSICS)
    assert not scale.reliable.any() and (scale.factor == 1.0).all()


def test_something_before_a_third_of_the_hand_is_outvoted(hands, clean_depth):
    depth = clean_depth.copy()
    edge = int(np.quantile(hands.keypoints_2d[..., 1], 0.25, axis=1).min())
    depth[:edge] = np.minimum(depth[:edge], 0.4)
    scale = measure_scale(hands, depth, INTRINSICS)
    told = scale.factor[scale.reliable]
    assert len(told) and (np.abs(told - 1.0) < 0.02).all()


def test_no_depth_at_all_is_named(hands):
    with pytest.raises(HandmeshError, match="no measurement at all"):
        measure_scale(hands, np.zeros(SIZE, np.float32), INTRINSICS)


def test_no_hands(clean_depth):
    assert (
        len(with_depth(Hands.empty(), measure_scale(Hands.empty(), clean_depth, INTRINSICS))) == 0
    )

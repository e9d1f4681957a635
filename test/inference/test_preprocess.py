from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.preprocess import (
    PADDING_GREY,
    Letterbox,
    Preprocessor,
    check_intrinsics,
    intrinsics_from_fov,
)

sides = st.integers(1, 5000)
input_sides = st.sampled_from([32, 96, 256, 384, 512])
coordinates = st.floats(-1e4, 1e4)


@given(sides, sides, input_sides, input_sides, st.tuples(coordinates, coordinates))
def test_points_come_back(height, width, input_height, input_width, point):
    letterbox = Letterbox.fit((height, width), (input_height, input_width))
    there = letterbox.points_to_network(np.array(point))
    np.testing.assert_allclose(letterbox.points_to_source(there), point, atol=1e-6)
    box = np.array([*point, point[0] + 10, point[1] + 20])
    corners = letterbox.points_to_network(box.reshape(2, 2)).ravel()
    np.testing.assert_allclose(letterbox.boxes_to_source(corners), box, atol=1e-6)


@given(sides, sides, input_sides, input_sides)
def test_image_fits_and_fills_one_side(height, width, input_height, input_width):
    letterbox = Letterbox.fit((height, width), (input_height, input_width))
    assert 1 <= letterbox.size[0] <= input_height
    assert 1 <= letterbox.size[1] <= input_width
    assert letterbox.size[0] == input_height or letterbox.size[1] == input_width


@given(
    sides,
    sides,
    st.tuples(st.floats(10, 5000), st.floats(10, 5000), coordinates, coordinates),
    st.tuples(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.1, 5)),
)
def test_projecting_and_letterboxing_commute(height, width, intrinsics, point):
    letterbox = Letterbox.fit((height, width), (256, 256))
    source, network = np.array(intrinsics), letterbox.intrinsics_to_network(np.array(intrinsics))
    ray = np.array(point[:2]) / point[2]
    expected = letterbox.points_to_network(ray * source[:2] + source[2:])
    np.testing.assert_allclose(ray * network[:2] + network[2:], expected, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("size", [(480, 640), (1080, 1920), (50, 40), (2017, 3025), (999, 333)])
def test_pixels_land_where_the_map_says(size):
    """The centre of mass of a bright disc must move exactly as the map says."""
    height, width = size
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    centre, radius = np.array([0.63 * width, 0.41 * height]), 0.12 * min(size)
    disc = np.hypot(x - centre[0], y - centre[1]) < radius
    image = np.repeat((255 * disc).astype(np.uint8)[..., None], 3, axis=2)
    network_image, _, letterbox = Preprocessor((256, 256)).letterbox(
        image, intrinsics_from_fov(*size)
    )
    inside = network_image[0, : letterbox.size[0], : letterbox.size[1], 0].astype(float)
    rows, columns = np.indices(inside.shape)
    found = np.array([(columns * inside).sum(), (rows * inside).sum()]) / inside.sum()
    true_centre = np.array([x[disc].mean(), y[disc].mean()])
    np.testing.assert_allclose(found, letterbox.points_to_network(true_centre), atol=0.05)


def test_padding_is_grey_right_and_below():
    preprocessor = Preprocessor((64, 64))
    white = np.full((32, 64, 3), 255, np.uint8)
    network_image, intrinsics, _ = preprocessor.letterbox(white, intrinsics_from_fov(32, 64))
    assert network_image.shape == (1, 64, 64, 3) and network_image.dtype == np.uint8
    assert intrinsics.shape == (1, 4) and intrinsics.dtype == np.float32
    assert (network_image[0, :32] == 255).all() and (network_image[0, 32:] == PADDING_GREY).all()


def test_image_of_the_input_size_passes_unchanged():
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    network_image, _, letterbox = Preprocessor((64, 96)).letterbox(
        image, intrinsics_from_fov(64, 96)
    )
    np.testing.assert_array_equal(network_image[0], image)
    np.testing.assert_array_equal(letterbox.scale, 1.0)


def test_field_of_view_spans_the_longer_side():
    fx, fy, cx, cy = intrinsics_from_fov(480, 640, 90.0)
    assert fx == fy == pytest.approx(320.0)
    assert (cx, cy) == (319.5, 239.5)
    assert intrinsics_from_fov(640, 480, 90.0)[0] == pytest.approx(320.0)


@pytest.mark.parametrize("fov", [0.0, -10.0, 180.0, float("nan")])
def test_impossible_field_of_view_is_refused(fov):
    with pytest.raises(HandmeshError, match="field of view"):
        intrinsics_from_fov(480, 640, fov)


def test_lists_are_intrinsics_too():
    np.testing.assert_array_equal(check_intrinsics([500, 501, 320, 240]), [500, 501, 320, 240])

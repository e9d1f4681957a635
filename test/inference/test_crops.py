import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inference_fakes import hand_at

from handmesh_ros.inference.crops import (
    CROP_SIDE,
    cut_crops,
    hand_regions,
    regions_alike,
    scaled_regions,
    square_regions,
    turned_regions,
)

ANGLES = st.floats(-180, 180)


def mapped(region, points):
    return np.asarray(points) @ region[:, :2].T + region[:, 2]


def turned(points, degrees, about=(0, 0)):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points - about) @ turn.T + about


@given(ANGLES, st.floats(20, 600), st.floats(-500, 900), st.floats(-500, 900))
def test_a_hand_stands_upright_and_whole_in_its_crop(degrees, size, x, y):
    points = turned(hand_at(x, y, size), degrees, (x, y))
    (region,) = hand_regions(points[None])
    inverse = np.linalg.inv(region[:, :2].astype(float))
    seen = (points - region[:, 2]) @ inverse.T
    assert seen.min() > 0 and seen.max() < CROP_SIDE
    up = seen[9] - seen[0]
    assert abs(up[0]) < 0.5 and up[1] < 0  # the middle finger above the wrist
    assert np.ptp(seen[:, 1]) > 0.4 * CROP_SIDE


def test_the_square_is_that_of_the_landmark_network():
    # palm keypoints of the pattern: x −0.3 … 0.3 and y 0.1 … 0.5 (joints 2, 3: −0.1) of its size
    (region,) = hand_regions(hand_at(300, 200, 100)[None])
    low, high = -0.1, 0.5
    side = 2 * max(0.6, high - low) * 100
    np.testing.assert_allclose(region[:, :2], np.eye(2) * side / CROP_SIDE, atol=1e-6)
    centre = [300, 200 + 100 * ((low + high) / 2 - 0.1 * (high - low))]
    np.testing.assert_allclose(mapped(region, [112, 112]), centre, atol=1e-3)


def test_pixels_land_where_the_region_says():
    image = np.zeros((300, 400, 3), np.uint8)
    y, x = np.mgrid[:300, :400]
    image[..., 0], image[..., 1] = x * 0.6, y * 0.8
    for side in (90.0, 224.0, 250.0):
        regions = square_regions(np.array([[200.0, 150.0]]), np.array([side]), np.array([0.3]))
        (crop,) = cut_crops(image, regions)
        for pixel in ([112, 112], [60, 150], [170, 80]):
            at = mapped(regions[0], pixel)
            found = crop[pixel[1], pixel[0]] / [0.6, 0.8, 1]
            np.testing.assert_allclose(found[:2], at, atol=2.0)


def test_a_shrunk_crop_averages_what_lies_between_its_samples():
    stripes = np.zeros((2000, 2000, 3), np.uint8)
    stripes[:, ::2] = 200
    regions = square_regions(np.array([[1000.0, 1000.0]]), np.array([1800.0]), np.zeros(1))
    (crop,) = cut_crops(stripes, regions)
    assert abs(crop[20:-20, 20:-20].astype(float) - 100).max() < 15


@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (480, 640)])
def test_any_image_gives_crops_and_black_outside(shape):
    image = np.full((*shape, 3), 255, np.uint8)
    keypoints = np.stack([hand_at(*shape[::-1], 50), hand_at(1e5, -1e5), hand_at(2, 2, 1e4)])
    crops = cut_crops(image, hand_regions(keypoints))
    assert crops.shape == (3, 224, 224, 3) and not crops[1].any()
    assert crops[0].any() or shape == (1, 1)


def test_no_hands_no_crops():
    assert hand_regions(np.zeros((0, 21, 2))).shape == (0, 2, 3)
    assert cut_crops(np.zeros((9, 9, 3), np.uint8), np.zeros((0, 2, 3))).shape[0] == 0


def test_keypoints_on_one_spot_still_give_a_square():
    (region,) = hand_regions(np.full((1, 21, 2), 7.0))
    assert np.isfinite(region).all() and np.linalg.det(region[:, :2]) > 0


@given(ANGLES, ANGLES)
def test_turned_regions_keep_middle_and_size(degrees, more):
    regions = hand_regions(turned(hand_at(100, 50), degrees)[None])
    (one,), (other,) = regions, turned_regions(regions, more)
    np.testing.assert_allclose(mapped(one, [112, 112]), mapped(other, [112, 112]), atol=1e-2)
    back = turned_regions(other[None], -more)[0]
    np.testing.assert_allclose(back, one, atol=1e-2)
    cosine = one[:, 0] @ other[:, 0] / (np.hypot(*one[:, 0]) * np.hypot(*other[:, 0]))
    np.testing.assert_allclose(cosine, np.cos(np.radians(more)), atol=1e-4)


def test_alike_are_regions_of_one_place_size_and_turn():
    keypoints = [hand_at(200, 200), hand_at(205, 200), hand_at(300, 200), hand_at(200, 200, 150)]
    keypoints.append(turned(hand_at(200, 200), 90, (200, 200)))
    alike = regions_alike(hand_regions(np.array(keypoints)))
    expected = np.eye(5, dtype=bool)
    expected[0, 1] = expected[1, 0] = True
    np.testing.assert_array_equal(alike, expected)


def test_regions_are_scaled_about_their_middles():
    regions = hand_regions(np.stack([hand_at(150, 100), hand_at(90, 120, 60)]))
    larger = scaled_regions(regions, 1.3)
    middle = [CROP_SIDE / 2, CROP_SIDE / 2]
    for one, other in zip(regions, larger, strict=True):
        np.testing.assert_allclose(mapped(one, middle), mapped(other, middle), atol=1e-3)
        np.testing.assert_allclose(other[:, :2], 1.3 * one[:, :2], rtol=1e-6)

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.conversions.distortion import ImpossibleLensError, Undistortion

INTRINSICS = np.array([300.0, 310.0, 159.5, 119.5])
MATRIX = np.array([[300.0, 0, 159.5], [0, 310, 119.5], [0, 0, 1]])
POINTS = np.array([[-0.3, -0.2, 1.0], [0.25, 0.2, 1.0], [0.0, 0.3, 1.0]])


def info(model, d):
    return SimpleNamespace(distortion_model=model, d=d)


def dots(pixels):
    image = np.zeros((240, 320, 3), np.uint8)
    for pixel in pixels:
        cv2.circle(image, np.rint(pixel).astype(int).tolist(), 3, (255, 255, 255), -1)
    return image


def middles(image):
    count, _, _, centres = cv2.connectedComponentsWithStats((image[..., 0] > 127).astype(np.uint8))
    return centres[1:count]


@pytest.mark.parametrize(
    "model, d",
    [
        ("plumb_bob", [-0.3, 0.1, 0.001, -0.002, 0.0]),
        ("rational_polynomial", [0.6, -0.1, 0.0, 0.0, 0.05, 0.1, 0.02, 0.01]),
        ("equidistant", [-0.05, 0.01, 0.0, 0.0]),
    ],
)
def test_points_come_back_to_where_a_pinhole_sees_them(model, d):
    if model == "equidistant":
        seen, _ = cv2.fisheye.projectPoints(
            POINTS[None], np.zeros(3), np.zeros(3), MATRIX, np.array(d)
        )
    else:
        seen, _ = cv2.projectPoints(POINTS, np.zeros(3), np.zeros(3), MATRIX, np.array(d))
    straight = POINTS[:, :2] * INTRINSICS[:2] + INTRINSICS[2:]
    assert np.abs(seen.reshape(-1, 2) - straight).max() > 3
    found = middles(
        Undistortion().undistort(dots(seen.reshape(-1, 2)), INTRINSICS, info(model, d))
    )
    assert len(found) == 3
    for point in straight:
        assert np.linalg.norm(found - point, axis=1).min() < 1.0


@pytest.mark.parametrize("d", [[], [0.0] * 5])
def test_an_image_without_distortion_is_not_touched(d):
    image = dots([(20, 20)])
    assert Undistortion().undistort(image, INTRINSICS, info("plumb_bob", d)) is image


def test_depth_comes_from_the_nearest_pixel():
    """Looked up in images that say their own column and row."""
    lens, undistortion = info("plumb_bob", [0.1, -0.2, 0.001, 0.001, 0.0]), Undistortion()
    for ramp in np.mgrid[:240, :320].astype(np.float32):
        near = undistortion.undistort(ramp, INTRINSICS, lens, cv2.INTER_NEAREST)
        exact = undistortion.undistort(ramp, INTRINSICS, lens)
        assert np.abs(near - exact)[20:-20, 20:-20].max() < 0.55
        assert (near == np.rint(near)).all()


def test_a_new_calibration_makes_new_tables():
    undistortion, image = Undistortion(), dots([(40, 40)])
    first = undistortion.undistort(image, INTRINSICS, info("plumb_bob", [-0.3, 0, 0, 0, 0]))
    again = undistortion.undistort(image, INTRINSICS, info("plumb_bob", [-0.3, 0, 0, 0, 0]))
    other = undistortion.undistort(image, INTRINSICS, info("plumb_bob", [0.3, 0, 0, 0, 0]))
    assert (first == again).all() and (first != other).any()


@pytest.mark.parametrize(
    "model, d, complaint",
    [
        ("kannala", [0.1] * 4, "not known"),
        ("plumb_bob", [0.1] * 3, "has 3 distortion coefficients"),
        ("rational_polynomial", [0.1] * 3, "has 3 distortion coefficients"),
        ("plumb_bob", [0.01] * 7, "has 7 distortion coefficients, but .* 4 or 5 or 8 or 12 or 14"),
        ("equidistant", [0.01] * 5, "has 5 distortion coefficients, but the model equidistant"),
        ("equidistant", [], "has 0 distortion coefficients"),
        ("", [0.1] * 5, "model '', which is not known"),
        ("plumb_bob", [0.1] * 14 + [0.1], "has 15"),
        ("equidistant", [0.1, np.nan, 0, 0], "D of camera_info have numbers that are not finite"),
        ("plumb_bob", [np.nan] * 5, "D of camera_info have numbers that are not finite"),
    ],
)
def test_a_calibration_that_cannot_be_used_is_a_sentence(model, d, complaint):
    with pytest.raises(HandmeshError, match=complaint):
        Undistortion().undistort(dots([(9, 9)]), INTRINSICS, info(model, d))


MANY = [
    0.21,
    -0.12,
    -3e-4,
    -1e-4,
    -0.004,
    0.57,
    -0.13,
    -0.028,
    2e-3,
    1e-4,
    -1e-3,
    2e-4,
    0.02,
    0.01,
]


@pytest.mark.parametrize("model", ["plumb_bob", "rational_polynomial", "thin_prism", "tilted"])
@pytest.mark.parametrize("count", [4, 5, 8, 12, 14])
@pytest.mark.parametrize("zeros", [0, 1, 6])
def test_the_count_of_coefficients_says_what_they_are(model, count, zeros):
    """As in OpenCV and image_geometry; factories write zeros behind them."""
    image = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8), (0, 0), 4
    )
    wanted = cv2.undistort(image, MATRIX, np.array(MANY[:count]))
    found = Undistortion().undistort(image, INTRINSICS, info(model, MANY[:count] + [0.0] * zeros))
    assert np.abs(found.astype(int) - wanted).mean() < 0.2
    assert (found != image).any()


@pytest.mark.parametrize("model", ["equidistant", "fisheye"])
@pytest.mark.parametrize(
    "d", [[0.0] * 4, [0.0] * 5, [0.02, 0.01, 0.0, 0.01], [0.02, 0, 0, 0, 0, 0]]
)
def test_a_fisheye_is_bent_even_without_coefficients(model, d):
    image = np.zeros((240, 320, 3), np.uint8)
    image[100:140, 250:270] = 255
    found = Undistortion().undistort(image, INTRINSICS, info(model, d))
    wanted = cv2.fisheye.undistortImage(image, MATRIX, np.array(d[:4]), Knew=MATRIX)
    assert (
        np.abs(found.astype(int) - wanted).mean() < 0.5 < np.abs(wanted.astype(int) - image).mean()
    )


IMPOSSIBLE = {
    "black": ("plumb_bob", [1e6, 1e9, 0.0, 0.0, 0.0]),
    "shifted away": ("plumb_bob", [0.0, 0.0, 3.0, 3.0, 0.0]),
    "folded": ("plumb_bob", [-4.0, 0.0, 0.0, 0.0, 0.0]),
    "squeezed": ("rational_polynomial", [0.0, 0, 0, 0, 0, 1e7, 0, 0]),
    "folded fisheye": ("equidistant", [-9.0, 0.0, 0.0, 0.0]),
    "overflowing": ("plumb_bob", [1e300, 1e300, 0.0, 0.0, 0.0]),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_no_lens_does_is_refused_each_time(name):
    undistortion, image, lens = Undistortion(), dots([(9, 9)]), info(*IMPOSSIBLE[name])
    for _ in range(2):
        with pytest.raises(ImpossibleLensError, match="no lens has them"):
            undistortion.undistort(image, INTRINSICS, lens)
        with pytest.raises(ImpossibleLensError):
            undistortion.check(INTRINSICS, lens, (240, 320))
    possible = info("plumb_bob", [-0.3, 0.1, 0, 0, 0])
    undistortion.check(INTRINSICS, possible, (240, 320))
    assert (undistortion.undistort(image, INTRINSICS, possible) != image).any()


def test_a_wide_lens_that_folds_only_the_corners_is_possible():
    Undistortion().check(INTRINSICS, info("plumb_bob", [-0.9, 0.0, 0.0, 0.0, 0.0]), (240, 320))


def test_an_image_too_large_for_opencv_is_one_sentence():
    wide = np.zeros((2, 40_000, 3), np.uint8)
    with pytest.raises(HandmeshError, match="40000×2 pixels, but undistort takes 32766"):
        Undistortion().undistort(
            wide, np.array([4e4, 4e4, 2e4, 1]), info("plumb_bob", [0.1, 0, 0, 0, 0])
        )

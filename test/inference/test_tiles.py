import numpy as np
import pytest
from inference_fakes import CAMERA, FakeFinder, hand_at

from handmesh_ros.inference.tiles import propose_on_tiles, tile_corners


@pytest.mark.parametrize("size", [(480, 640), (100, 3000), (7, 9)])
def test_tiles_overlap_and_cover_the_image(size):
    seen = np.zeros(size, int)
    for x0, y0, x1, y1 in tile_corners(*size):
        assert 0 <= x0 < x1 <= size[1] and 0 <= y0 < y1 <= size[0]
        seen[y0:y1, x0:x1] += 1
    assert seen.min() == 1 and seen.max() == 4


def test_an_image_too_small_for_tiles_has_none():
    assert tile_corners(1, 1) == []
    hands, timings = propose_on_tiles(FakeFinder([hand_at(0, 0)], [0.9]), _image(1, 1), CAMERA)
    assert len(hands) == 0 and timings.total_ms == 0


def test_finds_come_back_in_pixels_of_the_image():
    cameras = []

    class Finder(FakeFinder):
        def detect(self, image, intrinsics):
            cameras.append(intrinsics)
            return super().detect(image, intrinsics)

    finder = Finder([hand_at(50, 60, 40)], [0.9])
    hands, timings = propose_on_tiles(finder, _image(480, 640), CAMERA)
    corners = [corner[:2] for corner in tile_corners(480, 640)]
    expected = [hand_at(50 + x, 60 + y, 40) for x, y in corners]
    np.testing.assert_allclose(hands.keypoints_2d, expected)
    np.testing.assert_allclose(hands.box[:, :2], np.array(expected).min(1))
    np.testing.assert_allclose([camera[2:] for camera in cameras], CAMERA[2:] - corners)
    assert timings.total_ms == 4 * finder.timings.total_ms


def test_a_find_that_fills_its_tile_belongs_to_the_whole_image():
    hands, _ = propose_on_tiles(
        FakeFinder([hand_at(190, 140, 300)], [0.9]), _image(480, 640), CAMERA
    )
    assert len(hands) == 0


def _image(height, width):
    return np.zeros((height, width, 3), np.uint8)

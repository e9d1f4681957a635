from types import SimpleNamespace

import numpy as np
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.conversions.camera_info import FRAMES_KEPT, CameraInfos, intrinsics_of


def region(x: int, y: int, width: int, height: int) -> SimpleNamespace:
    return SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height)


def camera_info(**changes) -> SimpleNamespace:
    fx, fy, cx, cy = 500.0, 510.0, 319.5, 239.5
    fields = {
        "header": SimpleNamespace(frame_id="camera"),
        "width": 640,
        "height": 480,
        "k": [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        "p": [400.0, 0.0, 300.0, 0.0, 0.0, 410.0, 200.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "binning_x": 0,
        "binning_y": 0,
        "roi": SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    }
    return SimpleNamespace(**{**fields, **changes})


def test_an_image_of_the_calibrated_size_has_the_numbers_of_k():
    np.testing.assert_allclose(intrinsics_of(camera_info(), (480, 640)), [500, 510, 319.5, 239.5])


def test_a_rectified_image_has_those_of_p():
    found = intrinsics_of(camera_info(), (480, 640), rectified=True)
    np.testing.assert_allclose(found, [400, 410, 300, 200])


def test_a_scaled_image_keeps_its_centre():
    found = intrinsics_of(camera_info(), (240, 320))
    np.testing.assert_allclose(found, [250, 255, 159.5, 119.5])


def test_binning_is_a_scale():
    found = intrinsics_of(camera_info(binning_x=2, binning_y=2), (240, 320))
    np.testing.assert_allclose(found, [250, 255, 159.5, 119.5])


def test_uneven_binning_scales_each_axis():
    found = intrinsics_of(camera_info(binning_x=2, binning_y=1), (480, 320))
    np.testing.assert_allclose(found, [250, 510, 159.5, 239.5])


def test_a_region_of_interest_shifts_the_centre():
    roi = SimpleNamespace(x_offset=100, y_offset=40, width=320, height=240)
    found = intrinsics_of(camera_info(roi=roi), (240, 320))
    np.testing.assert_allclose(found, [500, 510, 219.5, 199.5])


def test_a_calibration_without_size_is_taken_as_the_image_s():
    found = intrinsics_of(camera_info(width=0, height=0), (480, 640))
    np.testing.assert_allclose(found, [500, 510, 319.5, 239.5])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"k": [0.0] * 9}, "not calibrated"),
        ({"k": [-1.0, 0, 1, 0, 5, 1, 0, 0, 1]}, "not calibrated"),
        ({"k": [float("nan")] * 9}, "not finite"),
        ({"k": [500.0, 0, float("inf"), 0, 500, 1, 0, 0, 1]}, "not finite"),
        ({"width": 640, "height": 640}, "another shape"),
        ({"k": [1e-9, 0, 319.5, 0, 1e-9, 239.5, 0, 0, 1]}, "which no camera of 640×480"),
        ({"k": [1e9, 0, 319.5, 0, 1e9, 239.5, 0, 0, 1]}, "which no camera"),
        ({"k": [500.0, 0, 1e9, 0, 500, 239.5, 0, 0, 1]}, "which no camera"),
        ({"k": [0.004, 0, 0.002, 0, 0.004, 0.0015, 0, 0, 1]}, "give them in pixels"),
        ({"k": [500.0, 0, 319.5, 0, 200, 239.5, 0, 0, 1]}, "fx, fy = 500, 200.*which no camera"),
        ({"roi": region(400, 0, 320, 240)}, "320×240 pixels from x = 400.*is not on its sensor"),
        ({"roi": region(0, 2**32 - 1, 640, 480)}, "is not on its sensor of 640×480"),
        ({"roi": region(0, 0, 641, 480)}, "is not on its sensor"),
        ({"roi": region(8, 8, 0, 0)}, "is not on its sensor"),
        ({"roi": region(0, 0, 64, 48)}, "region of 64×48.*do not fit an image of 640×480"),
        ({"height": 0}, "a sensor of 640×0 pixels"),
        ({"width": 6400, "binning_x": 10}, "binning 10×1, which do not fit"),
        ({"binning_x": 4000, "binning_y": 4000}, "binning 4000×4000, which do not fit"),
    ],
)
def test_an_unusable_calibration_is_refused_in_one_sentence(changes, words):
    with pytest.raises(HandmeshError, match=words):
        intrinsics_of(camera_info(**changes), (480, 640))


def test_a_region_of_a_sensor_of_unknown_size_is_applied():
    info = camera_info(roi=region(100, 40, 320, 240), width=0, height=0)
    np.testing.assert_allclose(intrinsics_of(info, (240, 320)), [500, 510, 219.5, 199.5])


@pytest.mark.parametrize("focal", [120.0, 20_000.0])
def test_wide_and_long_lenses_are_possible(focal):
    found = intrinsics_of(camera_info(k=[focal, 0, 320, 0, focal, 240, 0, 0, 1]), (480, 640))
    assert found[0] == focal


def test_a_region_at_the_edge_of_the_sensor_may_have_its_centre_outside():
    roi = SimpleNamespace(x_offset=2000, y_offset=40, width=320, height=240)
    info = camera_info(roi=roi, width=4000, height=3000, k=[3e3, 0, 2000, 0, 3e3, 1500, 0, 0, 1])
    np.testing.assert_allclose(intrinsics_of(info, (240, 320)), [3e3, 3e3, 0, 1460])


def test_the_latest_message_of_the_frame_is_found():
    infos = CameraInfos()
    assert infos.find("camera") is None
    first, second = camera_info(), camera_info()
    other = camera_info(header=SimpleNamespace(frame_id="other"))
    for info in (first, second, other):
        infos.update(info)
    assert infos.find("camera") is second
    assert infos.find("other") is other
    assert infos.find("") is other
    infos.update(first)
    assert infos.find("") is first


def test_a_calibration_is_there_while_its_successor_comes_in():
    infos, found = CameraInfos(), []
    infos.update(camera_info())

    class Coming:
        @property
        def header(self):
            found.append(infos.find("camera"))
            return SimpleNamespace(frame_id="camera")

    infos.update(Coming())
    assert found and all(info is not None for info in found)


def test_ever_new_frames_take_no_more_memory():
    infos = CameraInfos()
    for number in range(3 * FRAMES_KEPT):
        infos.update(camera_info(header=SimpleNamespace(frame_id=f"camera_{number}")))
        infos.update(camera_info(header=SimpleNamespace(frame_id="steady")))
    assert infos.find("steady") is not None and infos.find(f"camera_{number}") is not None
    assert infos.find(f"camera_{number - FRAMES_KEPT + 2}") is not None
    with pytest.raises(HandmeshError, match="'camera_0'"):
        infos.find("camera_0")


def test_a_calibration_of_another_frame_is_not_taken():
    infos = CameraInfos()
    infos.update(camera_info())
    with pytest.raises(HandmeshError, match="'depth'.*'camera'"):
        infos.find("depth")
    infos.update(camera_info(header=SimpleNamespace(frame_id="")))
    assert infos.find("depth") is not None

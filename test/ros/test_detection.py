from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")

from inference_fakes import FakeFinder, FakeReader, hand_at, picture
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.refiner import HandRefiner
from handmesh_ros.inference.refining import RefiningEstimator
from handmesh_ros.ros.conversions.camera_info import CameraInfos
from handmesh_ros.ros.conversions.messages import image_message
from handmesh_ros.ros.detection import HandDetector
from handmesh_ros.ros.parameters.schema import Parameters


class SeeingEstimator:
    """Remembers what it was shown and finds nothing."""

    model_id = "seeing-1"
    timings = SimpleNamespace(preprocess_ms=0.0, inference_ms=0.0, decode_ms=0.0)
    backend = SimpleNamespace(
        sidecar=SimpleNamespace(score_threshold=0.5, hand_model=SimpleNamespace(vertices=778))
    )

    def detect(self, image, intrinsics):
        self.image, self.intrinsics = image, intrinsics
        return Hands.empty()


def detect(detector, message, parameters, **options):
    return detector.detect(detector.decode(message, parameters), parameters, **options)


@pytest.mark.parametrize(
    "settings, moved, focal",
    [
        ({}, False, 300.0),
        ({"undistort": True}, True, 300.0),
        ({"undistort": True, "image_is_rectified": True}, False, 280.0),
    ],
)
def test_the_lens_is_undone_on_request(settings, moved, focal):
    info = CameraInfo(width=320, height=240, distortion_model="plumb_bob")
    info.k = [300.0, 0.0, 159.5, 0.0, 300.0, 119.5, 0.0, 0.0, 1.0]
    info.p = [280.0, 0.0, 159.5, 0.0, 0.0, 280.0, 119.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    info.d = [-0.3, 0.1, 0.0, 0.0, 0.0]
    camera_infos, said = CameraInfos(), []
    camera_infos.update(info)
    estimator = SeeingEstimator()
    template = SimpleNamespace(vertex_count=778, name="hand")
    detector = HandDetector(estimator, template, camera_infos, said.append)
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    detection = detect(detector, image_message(picture, Header()), Parameters(**settings))
    assert (estimator.image != picture).any() == moved
    assert estimator.intrinsics[0] == focal
    assert detection.rgb is estimator.image and detection.calibrated and not said


@pytest.mark.parametrize(("model", "d"), [("kannala", [0.1] * 4), ("plumb_bob", [0.1] * 3)])
def test_a_distortion_that_cannot_be_undone_stays_in_the_images_and_is_said(model, d):
    info = CameraInfo(width=320, height=240, distortion_model=model, d=d)
    info.k = [300.0, 0.0, 159.5, 0.0, 300.0, 119.5, 0.0, 0.0, 1.0]
    camera_infos, said = CameraInfos(), []
    camera_infos.update(info)
    template = SimpleNamespace(vertex_count=778, name="hand")
    detector = HandDetector(SeeingEstimator(), template, camera_infos, said.append)
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    for _ in range(2):
        detection = detect(detector, image_message(picture, Header()), Parameters(undistort=True))
        np.testing.assert_array_equal(detection.rgb, picture)
        assert detection.calibrated
    depth = picture[..., 0].astype(np.float32)
    np.testing.assert_array_equal(detection.align(depth), depth)
    assert len(set(said)) == 1 and said[0].endswith("the distortion stays in the images.")


def test_an_impossible_lens_makes_the_calibration_doubtful():
    info = CameraInfo(
        width=320, height=240, distortion_model="plumb_bob", d=[1e6, 1e9, 0.0, 0.0, 0.0]
    )
    info.k = [300.0, 0.0, 159.5, 0.0, 300.0, 119.5, 0.0, 0.0, 1.0]
    camera_infos, said = CameraInfos(), []
    camera_infos.update(info)
    template = SimpleNamespace(vertex_count=778, name="hand")
    detector = HandDetector(SeeingEstimator(), template, camera_infos, said.append)
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    for _ in range(2):
        detection = detect(detector, image_message(picture, Header()), Parameters(undistort=True))
        np.testing.assert_array_equal(detection.rgb, picture)
        assert not detection.calibrated
    assert len(said) == 1 and "no lens has them" in said[0] and "calibrated: false" in said[0]
    assert detect(detector, image_message(picture, Header()), Parameters()).calibrated, (
        "D is not used"
    )


def test_depth_is_undistorted_with_the_colours_and_not_mixed():
    info = CameraInfo(width=320, height=240, distortion_model="plumb_bob")
    info.k = [300.0, 0.0, 159.5, 0.0, 300.0, 119.5, 0.0, 0.0, 1.0]
    info.d = [-0.3, 0.1, 0.0, 0.0, 0.0]
    camera_infos = CameraInfos()
    camera_infos.update(info)
    template = SimpleNamespace(vertex_count=778, name="hand")
    detector = HandDetector(SeeingEstimator(), template, camera_infos, pytest.fail)
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[:40, :60] = 200
    depth = np.where(picture[..., 0] > 0, np.float32(0.5), np.float32(2.0))
    straight = detect(detector, image_message(picture, Header()), Parameters(undistort=True))
    seen, found = straight.rgb[..., 0], straight.align(depth)
    assert found.dtype == np.float32 and set(np.unique(found)) <= {0.0, 0.5, 2.0}
    assert (seen > 100).sum() < 0.9 * 40 * 60, "the lens shows too little"
    assert np.mean((seen > 100) == (found == 0.5)) > 0.998
    as_it_is = detect(detector, image_message(picture, Header()), Parameters())
    np.testing.assert_array_equal(as_it_is.align(depth), depth)


@pytest.mark.parametrize("is_compressed", [False, True])
def test_an_image_above_the_limit_is_refused_before_it_is_decoded(is_compressed):
    info = CameraInfos()
    estimator = SeeingEstimator()
    template = SimpleNamespace(vertex_count=778, name="hand")
    detector = HandDetector(estimator, template, info, pytest.fail)
    grey = np.full((40, 50, 3), 90, np.uint8)
    message: Image | CompressedImage = image_message(grey, Header())
    if is_compressed:
        data = cv2.imencode(".png", grey)[1].tobytes()
        message = CompressedImage(format="png", data=data)
    assert detect(detector, message, Parameters(max_pixels=2000)).rgb.shape == (40, 50, 3)
    with pytest.raises(
        HandmeshError, match="has 50 × 40 pixels, more than the 1999 of max_pixels"
    ):
        detect(detector, message, Parameters(max_pixels=1999))


def test_hands_that_cannot_be_refined_are_said_with_every_image():
    finder = FakeFinder([hand_at(40, 30, 30)], [0.9])
    estimator = RefiningEstimator(finder, None, lack="There is no model at x.onnx.")
    said = []
    detector = HandDetector(estimator, HandTemplate.bundled(), CameraInfos(), said.append)
    grey = np.full((60, 80, 3), 90, np.uint8)
    for _ in range(2):
        detection = detect(detector, image_message(grey, Header()), Parameters())
        assert len(detection.hands) == 1 and not detection.hands.refined.any()
    assert said == ["Hands are not refined: There is no model at x.onnx."] * 2
    detect(detector, image_message(grey, Header()), Parameters(refine_hands=False))
    assert len(said) == 2


def test_known_hands_are_followed_without_a_look_at_the_whole_image():
    finder = FakeFinder([hand_at(150, 200)], [0.9])
    estimator = RefiningEstimator(finder, HandRefiner(FakeReader()))
    detector = HandDetector(estimator, HandTemplate.bundled(), CameraInfos(), pytest.fail)
    message = image_message(picture((150, 200, 255)), Header())
    expected = hand_at(150, 200)[None]
    full = [
        detect(detector, message, Parameters(), stamp_s=index / 30, expected=expected).is_full
        for index in range(5)
    ]
    assert full == [True, False, False, False, True]
    every = Parameters(look_every=1)
    assert detect(detector, message, every, stamp_s=0.2, expected=expected).is_full
    one = detect(detector, message, Parameters(refine_hands=False), stamp_s=0.23)
    assert one.is_full and one.crops == 0 and not one.hands.refined.any()

"""Targets of `make fuzz`: messages of every kind, through what the node does with an image."""

from __future__ import annotations

import array
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from fuzz_oracles import (
    Finder,
    check_hands,
    check_intrinsics,
    check_result,
    check_sentence,
    make_hands,
)
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.ros.conversions.camera_info import CameraInfos
from handmesh_ros.ros.conversions.encodings import DEPTH_ENCODINGS, ENCODINGS
from handmesh_ros.ros.conversions.stamps import CaptureTimes
from handmesh_ros.ros.depth import DepthScaling
from handmesh_ros.ros.detection import HandDetector
from handmesh_ros.ros.parameters.schema import Parameters
from handmesh_ros.ros.pipeline import HandPipeline
from handmesh_ros.ros.tracking import HandTracking

TEMPLATE = HandTemplate.bundled()
FRAMES = st.sampled_from(["", "camera", "other"])
ODD_NUMBERS = st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 1e-30, 1e9, 1e300, float("nan"), float("inf"), float("-inf")]
)
STAMPS = st.builds(
    Time,
    sec=st.sampled_from([0, 1, 100, 101, -1, 2**31 - 1, -(2**31)]) | st.integers(95, 110),
    nanosec=st.integers(0, 10**9 - 1) | st.sampled_from([0, 2**32 - 1]),
)
CODECS = [".png", ".jpg", ".tiff", ".bmp", ".webp"]
FORMATS = st.sampled_from(["png", "jpeg", "", "h264", "jpeg;", ";;", "rvl"]) | st.builds(
    "{}; {} {} {}".format,
    st.sampled_from([*ENCODINGS, *DEPTH_ENCODINGS, "", "rgb7"]),
    st.sampled_from(["png", "jpeg", "tiff", "", "h264"]),
    st.sampled_from(["compressed", "compressedDepth", ""]),
    st.sampled_from(["", "bgr8", "rgb8", "mono8", "bgr16", "png"]),
)


class Pipeline:
    """What the node does with messages, without the node."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.finder, self.infos = Finder(), CameraInfos()
        self.depth = DepthScaling(self._say)
        detector = HandDetector(self.finder, TEMPLATE, self.infos, self._say)
        detector._decoder._first_image_s = float(
            "-inf"
        )  # says at once that there is no camera_info
        self.pipeline = HandPipeline(detector, self.depth, HandTracking(self._say))

    def _say(self, text: str) -> None:
        check_sentence(text)
        self.said.append(text)

    def __call__(self, message: Any, parameters: Parameters, now_s: float = 100.0) -> Any:
        """Return the result of an image, or None where it is refused with a sentence."""
        results: list[Any] = []
        try:
            self.pipeline.process(message, parameters, results.append, now_s=lambda: now_s)
        except HandmeshError as problem:
            check_sentence(problem)
            return None
        check_result(results[0], message)
        return results[0]


@st.composite
def images(draw: st.DrawFn) -> Image:
    """Images that are nearly right, of every encoding."""
    name = draw(st.sampled_from([*ENCODINGS, *DEPTH_ENCODINGS, "rgb7", ""]))
    width, height = draw(st.integers(0, 17)), draw(st.integers(0, 13))
    encoding = ENCODINGS.get(name)
    row = width * (encoding.bytes_per_pixel if encoding else 4)
    step = max(row + draw(st.sampled_from([0, 0, 0, 3, -1])), 0)
    rows = int(height * (encoding.rows if encoding else 1))
    size = max(rows * step + draw(st.sampled_from([0, 0, 0, 7, -1])), 0)
    size = draw(st.sampled_from([size, size, size, 0]))
    fill = draw(st.binary(min_size=1, max_size=8))
    return Image(
        header=Header(stamp=draw(STAMPS), frame_id=draw(FRAMES)),
        height=draw(st.sampled_from([height] * 9 + [2**32 - 1])),
        width=draw(st.sampled_from([width] * 9 + [2**31])),
        encoding=name,
        is_bigendian=draw(st.sampled_from([0, 1, 255])),
        step=step,
        data=array.array("B", (fill * (size // len(fill) + 1))[:size]),
    )


@st.composite
def compressed_images(draw: st.DrawFn) -> CompressedImage:
    """Pictures that say something true or false of themselves, some of them damaged."""
    kind: Any = draw(st.sampled_from([np.uint8, np.uint16]))
    shape = draw(st.sampled_from([(12, 16), (12, 16, 3), (12, 16, 4), (1, 1, 3)]))
    codec = draw(st.sampled_from(CODECS))
    if codec in (".jpg", ".webp", ".bmp") or len(shape) == 2 and codec == ".webp":
        kind = np.uint8
    pixels = np.full(shape, draw(st.integers(0, np.iinfo(kind).max)), kind)
    data = bytearray(cv2.imencode(codec, pixels)[1].tobytes())
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.sampled_from([len(data), len(data), len(data) // 2, 3, 0]))
    return CompressedImage(
        header=Header(stamp=draw(STAMPS), frame_id=draw(FRAMES)),
        format=draw(FORMATS),
        data=array.array("B", bytes(data[:cut])),
    )


def _numbers(draw: st.DrawFn, usual: list[float]) -> list[float]:
    values = list(usual)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        if values:
            place = draw(st.integers(0, len(values) - 1))
            scaled = draw(st.sampled_from([1e-6, 0.1, 2.0, 10.0, -1.0, 1e6])) * values[place]
            values[place] = draw(st.just(scaled) | ODD_NUMBERS)
    return values


@st.composite
def camera_infos(draw: st.DrawFn) -> CameraInfo:
    """Calibrations of a camera of 64×48 pixels, most of them with something wrong."""
    info = CameraInfo(header=Header(frame_id=draw(FRAMES)))
    sizes = st.sampled_from([48, 64, 64, 128, 0, 1, 2**32 - 1])
    info.width, info.height = draw(st.tuples(sizes, sizes) | st.just((64, 48)) | st.just((0, 0)))
    # In place, for messages from the wire hold what the setters would refuse.
    info.k[:] = _numbers(draw, [60.0, 0.0, 31.5, 0.0, 60.0, 23.5, 0.0, 0.0, 1.0])
    info.p[:] = _numbers(draw, [55.0, 0, 30.0, 0.0, 0.0, 56.0, 24.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    models = [
        "plumb_bob",
        "rational_polynomial",
        "equidistant",
        "fisheye",
        "tilted",
        "",
        "kannala",
    ]
    info.distortion_model = draw(st.sampled_from(models))
    count = draw(st.sampled_from([0, 3, 4, 5, 7, 8, 12, 14, 15]))
    usual = [-0.2, 0.1, 1e-3, -1e-3, 0.01, 0.02, -0.01, 0.001, *[1e-3] * 7][:count]
    info.d = array.array("d", _numbers(draw, draw(st.sampled_from([usual, [0.0] * count]))))
    odd = st.sampled_from([0, 0, 0, 0, 1, 2, 3, 4, 480, 2**32 - 1])
    info.binning_x, info.binning_y = draw(odd), draw(odd)
    places = st.sampled_from([0, 0, 0, 1, 16, 32, 48, 64, 2**31])
    info.roi.x_offset, info.roi.y_offset = draw(places), draw(places)
    info.roi.width, info.roi.height = draw(places), draw(places)
    return info


@st.composite
def depth_images(draw: st.DrawFn) -> Image:
    """Depth images of 64×48 pixels in any unit, with holes."""
    name = draw(st.sampled_from(["16UC1", "32FC1", "mono16", "64FC1", "rgb8"]))
    kind: Any = np.uint16 if name in ("16UC1", "mono16") else np.float32
    unit = draw(st.sampled_from([1.0, 0.3048, 0.01, 0.001, 0.0005, 0.00025, 0.0001]))
    metres = draw(st.sampled_from([0.57, 0.6, 0.9, 0.01, 4.0, 100.0]))
    with np.errstate(all="ignore"):
        values = np.full((48, 64), np.clip(metres / unit, 0, 65535)).astype(kind)
    if kind is np.float32:
        odd = draw(ODD_NUMBERS)
        values[:, : draw(st.sampled_from([0, 32, 64]))] = np.float32(np.clip(odd, -3e38, 3e38))
    else:
        values[:, : draw(st.sampled_from([0, 32, 64]))] = draw(st.sampled_from([0, 1, 65535]))
    order = draw(st.sampled_from([0, 1]))
    return Image(
        header=Header(stamp=Time(sec=100), frame_id=draw(FRAMES)),
        height=48,
        width=draw(st.sampled_from([64, 64, 64, 32])),
        encoding=name,
        is_bigendian=order,
        step=draw(st.sampled_from([0, 0, 0, 5])) + 64 * values.itemsize,
        data=array.array("B", (values.byteswap() if order else values).tobytes()),
    )


def grey_image(header: Header, size: tuple[int, int] = (48, 64)) -> Image:
    """An image that is well."""
    height, width = size
    data = array.array("B", bytes([90]) * (3 * width * height))
    return Image(
        header=header, height=height, width=width, encoding="rgb8", step=3 * width, data=data
    )


def fuzz_images(message: Image) -> None:
    """An Image is decoded to its own size, or refused in one sentence."""
    result = Pipeline()(message, Parameters())
    if result is not None:
        assert result.detection.rgb.shape == (message.height, message.width, 3)
        assert not result.detection.calibrated


def fuzz_compressed(message: CompressedImage) -> None:
    """A CompressedImage is decoded or refused in one sentence."""
    Pipeline()(message, Parameters())


def fuzz_camera_info(info: CameraInfo, undistort: bool, rectified: bool) -> None:
    """Only a calibration that a camera can have is said to be one; nothing else stops."""
    pipeline = Pipeline()
    pipeline.infos.update(info)
    sent = grey_image(Header(stamp=Time(sec=100), frame_id="camera"))
    parameters = Parameters(undistort=undistort, image_is_rectified=rectified)
    result = pipeline(sent, parameters)
    assert result is not None, "the image is well"
    detection = result.detection
    assert detection.rgb.shape == (48, 64, 3)
    if detection.calibrated:
        check_intrinsics(detection.intrinsics, (48, 64))
        assert info.header.frame_id in ("camera", "")
        region = info.roi.x_offset + info.roi.width, info.roi.y_offset + info.roi.height
        if info.width and info.height:
            assert region[0] <= info.width and region[1] <= info.height
        black = np.mean((detection.rgb == 0).all(-1))
        assert black < 0.55, "a lens that sees next to nothing"
    else:
        assert pipeline.said, "why it is not calibrated"


def fuzz_depth(message: Image, unit_m: float, spread: int) -> None:
    """Depth scales hands to the size of hands, or leaves them as they are and says why."""
    pipeline = Pipeline()
    pipeline.finder.hands = make_hands(spread)
    pipeline.depth.receive(message)
    sent = grey_image(Header(stamp=Time(sec=100), frame_id="camera"))
    parameters = Parameters(use_depth=True, depth_unit_m=unit_m, track=False)
    info = CameraInfo(width=64, height=48, k=[60.0, 0.0, 31.5, 0.0, 60.0, 23.5, 0.0, 0.0, 1.0])
    pipeline.infos.update(info)
    for _ in range(11):
        result = pipeline(sent, parameters)
    assert result is not None
    check_hands(result.hands)
    seen, scaled = pipeline.finder.hands.joints, result.hands.joints
    np.testing.assert_allclose(
        scaled[..., :2] / scaled[..., 2:], seen[..., :2] / seen[..., 2:], rtol=1e-4, atol=1e-5
    )


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[Time, str, tuple[int, int], int, dict[str, Any]]]:
    """Images with any stamps, sizes, hands and parameters, one after another."""
    changes = st.sampled_from(
        [{}] * 6
        + [{"track": False}, {"smooth": False}, {"max_hands": 1}, {"lost_after_s": 0.0}]
        + [{"prediction_limit_ms": 300.0}, {"publish_mesh": False}]
    )
    sizes = st.sampled_from([(48, 64)] * 9 + [(24, 32)])
    frames = st.sampled_from(["camera"] * 9 + ["other"])
    steady = [Time(sec=100, nanosec=step * 33_000_000) for step in range(20)]
    stamps = st.one_of(STAMPS, st.sampled_from(steady), st.sampled_from(steady))
    image = st.tuples(stamps, frames, sizes, st.integers(0, 3), changes)
    return draw(st.lists(image, min_size=1, max_size=25))


def fuzz_streams(
    stream: list[tuple[Time, str, tuple[int, int], int, dict[str, Any]]], seed: int
) -> None:
    """Ids are never given twice, LOST is said once, and stamps stay those of the images."""
    pipeline, lost, known = Pipeline(), set(), 0
    for number, (stamp, frame_id, size, count, changes) in enumerate(stream):
        pipeline.finder.hands = make_hands(count, seed + number)
        sent = grey_image(Header(stamp=stamp, frame_id=frame_id), size)
        if stamp.nanosec >= 10**9:
            sent.header.stamp.nanosec = 10**9 - 1
        result = pipeline(sent, Parameters(**changes), now_s=100.0 + 0.033 * number)
        assert result is not None
        tracked = result.tracked
        for track_id, state in zip(tracked.track_id.tolist(), tracked.state.tolist(), strict=True):
            if track_id == 0:
                continue
            assert track_id not in lost, "an id that had ended"
            if state == 2:
                lost.add(track_id)
        fresh = [each for each in tracked.track_id.tolist() if each > known]
        assert len(fresh) <= count, "an id that no hand has"
        known = max([known, *fresh])


def fuzz_stamps(stamps: list[Time], nows: list[float]) -> None:
    """Times of capture are times that a message can hold."""
    times = CaptureTimes()
    for stamp, now_s in zip(stamps, nows, strict=False):
        found = times.correct(stamp, now_s)
        assert -(2**31) <= found.sec < 2**31 and 0 <= found.nanosec < 2**32


TARGETS: dict[str, tuple[Any, dict[str, st.SearchStrategy]]] = {
    "images": (fuzz_images, {"message": images()}),
    "compressed": (fuzz_compressed, {"message": compressed_images()}),
    "camera_info": (
        fuzz_camera_info,
        {"info": camera_infos(), "undistort": st.booleans(), "rectified": st.booleans()},
    ),
    "depth": (
        fuzz_depth,
        {
            "message": depth_images(),
            "unit_m": st.sampled_from([0.0, 0.0, 0.001, 0.0001, 1.0]),
            "spread": st.integers(1, 3),
        },
    ),
    "streams": (fuzz_streams, {"stream": streams(), "seed": st.integers(0, 99)}),
    "stamps": (
        fuzz_stamps,
        {
            "stamps": st.lists(STAMPS, max_size=8),
            "nows": st.lists(st.floats(-1e10, 1e10) | ODD_NUMBERS.filter(np.isfinite), max_size=8),
        },
    ),
}

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.images import ENCODINGS, compressed_to_rgb, image_to_rgb

HEIGHT, WIDTH = 6, 8


def message(pixels: np.ndarray, encoding: str, *, padding: int = 0, height: int = 0) -> object:
    """An Image message with the given rows; `padding` bytes of rubbish end every row."""
    rows = np.ascontiguousarray(pixels).reshape(pixels.shape[0], -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return SimpleNamespace(
        height=height or pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=rows.shape[1],
        is_bigendian=0,
        data=rows.tobytes(),
    )


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def with_alpha(colors: np.ndarray) -> np.ndarray:
    return np.dstack([colors, np.full((HEIGHT, WIDTH), 9, colors.dtype)])


@pytest.mark.parametrize("padding", [0, 5])
def test_eight_bit_color_encodings_keep_every_value(rgb, padding):
    bgr = rgb[..., ::-1]
    for encoding, pixels in (
        ("rgb8", rgb),
        ("bgr8", bgr),
        ("8UC3", bgr),
        ("rgba8", with_alpha(rgb)),
        ("bgra8", with_alpha(bgr)),
        ("8UC4", with_alpha(bgr)),
    ):
        decoded = image_to_rgb(message(pixels, encoding, padding=padding))
        np.testing.assert_array_equal(decoded, rgb, err_msg=encoding)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_images_get_three_equal_channels(rgb, encoding):
    decoded = image_to_rgb(message(rgb[..., 0], encoding, padding=3))
    np.testing.assert_array_equal(decoded, np.repeat(rgb[..., :1], 3, axis=2))


@pytest.mark.parametrize("is_bigendian", [False, True])
def test_sixteen_bits_are_scaled_to_eight_in_either_byte_order(rgb, is_bigendian):
    order = ">u2" if is_bigendian else "<u2"
    wide = rgb.astype(np.uint16) * 257
    for encoding, pixels in (
        ("rgb16", wide),
        ("bgr16", wide[..., ::-1]),
        ("16UC3", wide[..., ::-1]),
        ("rgba16", with_alpha(wide)),
        ("bgra16", with_alpha(wide[..., ::-1])),
    ):
        sent = message(np.ascontiguousarray(pixels).astype(order), encoding, padding=2)
        sent.is_bigendian, sent.width = int(is_bigendian), WIDTH
        np.testing.assert_array_equal(image_to_rgb(sent), rgb, err_msg=encoding)
    sent = message(wide[..., 0].astype(order), "mono16")
    sent.is_bigendian = int(is_bigendian)
    np.testing.assert_array_equal(image_to_rgb(sent)[..., 2], rgb[..., 0])


@pytest.mark.parametrize(
    ("encoding", "first"), [("yuv422", 1), ("uyvy", 1), ("yuv422_yuy2", 0), ("yuyv", 0)]
)
def test_yuv_422_finds_the_luminance(encoding, first):
    pixels = np.full((HEIGHT, WIDTH, 2), 128, np.uint8)
    pixels[..., first] = 200
    decoded = image_to_rgb(message(pixels, encoding, padding=4))
    assert decoded.shape == (HEIGHT, WIDTH, 3)
    assert np.ptp(decoded) <= 1
    assert abs(int(decoded[0, 0, 0]) - 214) <= 2  # (200 - 16) * 255 / 219


@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
def test_planar_yuv_has_chroma_rows_below(encoding):
    rows = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    rows[HEIGHT:, 1 if encoding == "nv12" else 0 :: 2] = 220  # V, towards red
    decoded = image_to_rgb(message(rows, encoding, height=HEIGHT))
    assert decoded.shape == (HEIGHT, WIDTH, 3)
    assert (decoded[..., 0] > decoded[..., 2] + 50).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_are_named_as_ros_names_them(pattern, bits):
    color = {"r": 200, "g": 120, "b": 40}
    tile = np.array([color[letter] for letter in pattern]).reshape(2, 2)
    mosaic = np.tile(tile, (HEIGHT // 2, WIDTH // 2)).astype(np.uint8)
    if bits == 16:
        mosaic = mosaic.astype(np.uint16) * 257
    decoded = image_to_rgb(message(mosaic, f"bayer_{pattern}{bits}"))
    assert decoded[HEIGHT // 2, WIDTH // 2].tolist() == [200, 120, 40]


def test_every_encoding_decodes_to_eight_bit_rgb():
    for name, encoding in ENCODINGS.items():
        rows = int(HEIGHT * encoding.rows)
        pixels = np.zeros((rows, WIDTH, encoding.bytes_per_pixel), np.uint8)
        decoded = image_to_rgb(message(pixels, name, height=HEIGHT))
        assert (decoded.shape, decoded.dtype) == ((HEIGHT, WIDTH, 3), np.uint8), name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"height": 0}, "no pixels"),
        ({"width": 0}, "no pixels"),
        ({"step": 0}, "step of 0"),
        ({"step": 23}, "needs 24"),
        ({"data": b""}, "truncated"),
        ({"data": bytes(6 * 24 - 1)}, "truncated"),
        ({"height": 4_000_000_000}, "truncated"),
        ({"encoding": "rgb7"}, "'rgb7' is unknown"),
        ({"encoding": ""}, "'' is unknown"),
        ({"encoding": "32FC1"}, "'32FC1' is that of depth images.*colour topic"),
    ],
)
def test_bad_images_are_refused_in_one_sentence(rgb, changes, words):
    bad = message(rgb, "rgb8")
    vars(bad).update(changes)
    with pytest.raises(HandmeshError, match=words) as problem:
        image_to_rgb(bad)
    assert "\n" not in str(problem.value) and str(problem.value).endswith(".")


@pytest.mark.parametrize(("encoding", "channels"), [("yuv422", 2), ("nv12", 1)])
def test_odd_sizes_of_subsampled_images_are_refused(encoding, channels):
    with pytest.raises(HandmeshError, match="even sizes"):
        image_to_rgb(message(np.zeros((9, 7, channels), np.uint8), encoding, height=6))


def test_png_is_decoded_exactly_and_jpeg_nearly(rgb):
    smooth = cv2.resize(rgb, (64, 48), interpolation=cv2.INTER_CUBIC)
    bgr = cv2.cvtColor(smooth, cv2.COLOR_RGB2BGR)
    png = SimpleNamespace(format="png", data=cv2.imencode(".png", bgr)[1].tobytes())
    jpeg = SimpleNamespace(format="jpeg", data=cv2.imencode(".jpg", bgr)[1].tobytes())
    np.testing.assert_array_equal(compressed_to_rgb(png), smooth)
    assert np.abs(compressed_to_rgb(jpeg).astype(int) - smooth).mean() < 8


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe0 not a picture", bytes(1000)])
def test_bad_compressed_images_are_refused_in_one_sentence(data):
    with pytest.raises(HandmeshError, match="no data|cannot be decoded"):
        compressed_to_rgb(SimpleNamespace(format="jpeg", data=data))


@given(
    encoding=st.sampled_from([*ENCODINGS, "rgb7"]),
    height=st.integers(0, 9),
    width=st.integers(0, 9),
    step=st.integers(0, 80),
    size=st.integers(0, 900),
    is_bigendian=st.integers(0, 1),
)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_is_decoded_or_refused(encoding, height, width, step, size, is_bigendian):
    anything = SimpleNamespace(
        height=height,
        width=width,
        encoding=encoding,
        step=step,
        is_bigendian=is_bigendian,
        data=bytes(size),
    )
    try:
        rgb = image_to_rgb(anything)
    except HandmeshError:
        return
    assert (rgb.shape, rgb.dtype) == ((height, width, 3), np.uint8)

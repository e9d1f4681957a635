from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.conversions.encodings import ENCODINGS, SensorRange
from handmesh_ros.ros.conversions.images import compressed_to_rgb, image_to_rgb

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


PATTERNS = ["rggb", "bggr", "gbrg", "grbg"]


def colours(size=(48, 64)) -> np.ndarray:
    """A smooth RGB image whose red and blue differ."""
    y, x = np.mgrid[: size[0], : size[1]] / 64.0
    return np.stack([200 - 60 * x, 90 + 50 * y, 40 + 30 * x * y], -1).astype(np.uint8)


def compressed(pixels: np.ndarray, codec: str, text: str) -> SimpleNamespace:
    return SimpleNamespace(format=text, data=cv2.imencode(f".{codec}", pixels)[1].tobytes())


def mosaic_of(rgb: np.ndarray, pattern: str) -> np.ndarray:
    channels = np.array(["rgb".index(letter) for letter in pattern]).reshape(2, 2)
    y, x = np.indices(rgb.shape[:2])
    return np.take_along_axis(rgb, channels[y % 2, x % 2][..., None], 2)[..., 0]


@pytest.mark.parametrize("codec", ["png", "jpeg", "tiff"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_compressed_mosaics_get_their_colours(codec, pattern):
    rgb = colours()
    mosaic = mosaic_of(rgb, pattern)
    message = compressed(mosaic, codec, f"bayer_{pattern}8; {codec} compressed ")
    assert np.abs(compressed_to_rgb(message)[2:-2, 2:-2].astype(int) - rgb[2:-2, 2:-2]).max() < 16
    if codec != "jpeg":
        deep = compressed(mosaic.astype(np.uint16) * 257, codec, f"bayer_{pattern}16; {codec}")
        assert np.abs(compressed_to_rgb(deep)[2:-2, 2:-2].astype(int) - rgb[2:-2, 2:-2]).max() < 6


@pytest.mark.parametrize("target", ["bgr8", "mono8", "rgb8"])
def test_a_mosaic_that_was_converted_before_is_a_picture(target):
    rgb = colours()
    sent = {"bgr8": rgb[..., ::-1], "mono8": rgb[..., 1], "rgb8": rgb}[target]
    message = compressed(
        np.ascontiguousarray(sent), "png", f"bayer_rggb8; png compressed {target}"
    )
    wanted = np.repeat(rgb[..., 1:2], 3, axis=2) if target == "mono8" else rgb
    np.testing.assert_array_equal(compressed_to_rgb(message), wanted)


@pytest.mark.parametrize(
    "text", ["jpeg", "png", "", "bgr8; jpeg compressed bgr8", "rgb8; png compressed bgr8"]
)
def test_usual_pictures_stay_what_they_are(text):
    rgb = colours()
    codec = "jpeg" if "jpeg" in text else "png"
    found = compressed_to_rgb(compressed(np.ascontiguousarray(rgb[..., ::-1]), codec, text))
    assert np.abs(found.astype(int) - rgb).max() <= (12 if codec == "jpeg" else 0)


@pytest.mark.parametrize("name", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "rgb16", "bgr16"])
def test_tiff_has_the_camera_s_own_order(name):
    rgb = colours()
    sent = rgb if name.startswith("rgb") else rgb[..., ::-1]
    if "a" in name:
        sent = np.dstack([sent, np.full(rgb.shape[:2], 9, np.uint8)])
    if name == "mono8":
        sent, rgb = rgb[..., 0], np.repeat(rgb[..., :1], 3, axis=2)
    if name.endswith("16"):
        sent = sent.astype(np.uint16) * 257
    message = compressed(np.ascontiguousarray(sent), "tiff", f"{name}; tiff compressed ")
    np.testing.assert_array_equal(compressed_to_rgb(message), rgb)


@pytest.mark.parametrize(
    "text", ["16UC1; compressedDepth", "32FC1; compressedDepth png", "32FC1; tiff compressed "]
)
def test_a_compressed_depth_image_shows_no_hands(text):
    message = compressed(np.full((48, 64), 700, np.uint16), "png", text)
    with pytest.raises(HandmeshError, match="is a depth image .*colour topic"):
        compressed_to_rgb(message)


def test_pixels_that_are_not_what_the_format_says_are_one_sentence():
    message = compressed(colours(), "tiff", "mono8; tiff compressed ")
    with pytest.raises(HandmeshError, match="holds 3 channels of uint8, which its format"):
        compressed_to_rgb(message)


@pytest.mark.parametrize(
    ("bits", "words"), [(8, []), (10, ["10"]), (12, ["12"]), (14, ["14"]), (16, [])]
)
@pytest.mark.parametrize("name", ["mono16", "bayer_rggb16", "16UC1", "rgb16"])
def test_sensors_of_fewer_bits_are_not_dark(bits, words, name):
    said = []
    ranges = SensorRange(said.append)
    top = 2**bits - 1
    full = np.full((HEIGHT, WIDTH, 3) if name == "rgb16" else (HEIGHT, WIDTH), top, np.uint16)
    sent = message(full, name)
    sent.width = WIDTH
    for _ in range(3):
        assert (image_to_rgb(sent, ranges) == 255).all()
    darker = message(full // 4, name)
    darker.width = WIDTH
    assert np.abs(image_to_rgb(darker, ranges).astype(int) - 64).max() <= 1, "flickers"
    assert len(said) == len(words) and all(words[0] in text for text in said)


def test_deep_png_is_scaled_as_the_raw_image_is():
    grey = (np.arange(48 * 64).reshape(48, 64) % 1024).astype(np.uint16)
    packed = compressed_to_rgb(compressed(grey, "png", "mono16; png compressed "))
    np.testing.assert_array_equal(packed, image_to_rgb(message(grey, "mono16")))
    assert packed.max() == 255
    wide = colours().astype(np.uint16)[..., ::-1] * 257
    found = compressed_to_rgb(compressed(wide, "png", "rgb16; png compressed bgr16"))
    np.testing.assert_array_equal(found, colours())


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

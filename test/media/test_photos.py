from __future__ import annotations

import os
import threading
import zlib

import cv2
import numpy as np
import pytest
from picture_files import EXIF, jpeg, png, tiff, webp, xmp
from PIL import Image

from handmesh_ros.errors import HandmeshError
from handmesh_ros.media.photos import read_photo, to_8_bits

PICTURE = np.full((60, 100, 3), 60, np.uint8)
PICTURE[:30, :50] = 200  # the first quarter is bright
_RAW = b"\nexif\n%8d\n%b\n" % (len(EXIF + tiff(6)), (EXIF + tiff(6)).hex().encode())

SHOWN = {  # by EXIF's orientation: the size as shown, and which quarter is bright then
    1: ((60, 100), "top left"),
    2: ((60, 100), "top right"),
    3: ((60, 100), "bottom right"),
    4: ((60, 100), "bottom left"),
    5: ((100, 60), "top left"),
    6: ((100, 60), "top right"),
    7: ((100, 60), "bottom right"),
    8: ((100, 60), "bottom left"),
}


def bright_quarter(image):
    height, width = image.shape[0] // 2, image.shape[1] // 2
    quarters = {
        "top left": image[:height, :width],
        "top right": image[:height, width:],
        "bottom left": image[height:, :width],
        "bottom right": image[height:, width:],
    }
    return max(quarters, key=lambda name: quarters[name].mean())


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("order", "<>")
def test_every_orientation_is_shown_as_viewers_do(tmp_path, orientation, order):
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg(PICTURE, EXIF + tiff(orientation, order)))
    image = read_photo(path)
    assert (image.shape[:2], bright_quarter(image)) == SHOWN[orientation]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("exif.png", png(PICTURE, b"eXIf", tiff(6))),
        ("header.png", png(PICTURE, b"eXIf", EXIF + tiff(6))),
        ("profile.png", png(PICTURE, b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(_RAW))),
        ("xmp.png", png(PICTURE, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6))),
        ("plain.webp", webp(PICTURE, tiff(6))),
        ("header.webp", webp(PICTURE, EXIF + tiff(6))),
        ("big_endian.webp", webp(PICTURE, EXIF + tiff(6, ">"))),
    ],
)
def test_orientation_is_told_in_many_ways(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    image = read_photo(path)
    assert (image.shape[:2], bright_quarter(image)) == SHOWN[6]


@pytest.mark.parametrize("orientation", SHOWN)
def test_avif_has_its_orientation_in_the_format_itself(tmp_path, orientation):
    exif, path = Image.Exif(), tmp_path / "photo.avif"
    exif[0x112] = orientation
    try:
        Image.fromarray(PICTURE).save(path, exif=exif)
    except (KeyError, ValueError, OSError):
        pytest.skip("needs a Pillow that writes AVIF")
    if not cv2.haveImageReader(str(path)):
        pytest.skip("needs an OpenCV that reads AVIF")
    image = read_photo(path)
    assert (image.shape[:2], bright_quarter(image)) == SHOWN[orientation]


def test_avif_is_refused_where_nobody_tells_its_orientation(tmp_path, monkeypatch):
    path = tmp_path / "photo.avif"
    path.write_bytes(b"\0\0\0\x1cftypavif" + bytes(40))
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    monkeypatch.setattr(Image, "init", lambda: 0)
    with pytest.raises(HandmeshError, match="AVIF.*pillow>=11.3"):
        read_photo(path)


@pytest.mark.parametrize("exif", [b"", b"II", tiff(9), tiff(0), b"\xff" * 40])
def test_damaged_orientation_is_none(tmp_path, exif):
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg(PICTURE, EXIF + exif))
    assert read_photo(path).shape == (60, 100, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tiff", "ppm", "jp2"])
def test_without_an_orientation_it_stays(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    assert cv2.imwrite(str(path), PICTURE)
    image = read_photo(path)
    assert (image.shape[:2], bright_quarter(image)) == SHOWN[1]


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
def test_more_than_8_bits_are_scaled_by_the_range_that_is_used(tmp_path, bits):
    ramp = np.linspace(0, 2**bits - 1, 256).astype(np.uint16)
    path = tmp_path / "sensor.png"
    assert cv2.imwrite(str(path), np.tile(ramp, (4, 1)))
    image = read_photo(path)
    assert image.dtype == np.uint8 and image.shape == (4, 256, 3)
    np.testing.assert_allclose(image[0, :, 0], np.arange(256), atol=1)


def test_floating_point_is_scaled_and_what_is_no_number_is_black():
    image = to_8_bits(np.array([[0.0, 0.5, 1.0, np.nan, np.inf, -3.0]], np.float32))
    assert image.tolist() == [[0, 128, 255, 0, 0, 0]]
    assert to_8_bits(np.array([[0.0, 2.0]], np.float32)).tolist() == [[0, 255]]
    black = np.zeros((2, 2), np.uint16)
    assert not to_8_bits(black).any() and not to_8_bits(black.astype(np.float32)).any()


@pytest.mark.parametrize("claimed", [(60_000, 60_000), (2**31 - 1, 1)])
def test_a_header_that_asks_for_more_memory_than_there_is(tmp_path, claimed):
    content = bytearray(cv2.imencode(".png", PICTURE)[1].tobytes())
    content[16:24] = b"".join(length.to_bytes(4, "big") for length in claimed)
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path = tmp_path / "bomb.png"
    path.write_bytes(content)
    with pytest.raises(HandmeshError, match="more than the limit of .*--max-pixels"):
        read_photo(path)


def test_a_pipe_is_read_as_a_file(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    content = cv2.imencode(".png", PICTURE)[1].tobytes()
    writer = threading.Thread(target=path.write_bytes, args=(content,))
    writer.start()
    assert read_photo(path).shape == (60, 100, 3)
    writer.join()


def test_the_limit_can_be_chosen(tmp_path):
    path = tmp_path / "photo.png"
    assert cv2.imwrite(str(path), PICTURE)
    assert read_photo(path, max_pixels=6000).shape == (60, 100, 3)
    with pytest.raises(HandmeshError, match="100 × 60 pixels, more than the limit of 5999"):
        read_photo(path, max_pixels=5999)

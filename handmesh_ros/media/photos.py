"""Photographs as viewers show them, whatever format and depth they have."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import PIL
from PIL import Image

from handmesh_ros.errors import HandmeshError

SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".webp", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".gif", ".jp2", ".avif", ".heic", ".heif"),
    )
)
"""Of HEIC no OpenCV reads the pixels, but a folder of it is not empty."""

READABLE = SUFFIXES - {".heic", ".heif"}

MAX_PIXELS = 250_000_000
"""Of a photograph, unless another limit is given: a damaged or hostile header may ask for more
memory than there is."""

_ORIENTATION = 0x0112
_AVIF = (b"ftypavif", b"ftypavis")
_EXIF = b"Exif\0\0"
_EXIFS = re.compile(b"(%b)*" % _EXIF)
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: image[::-1].transpose(1, 0, 2),
    7: lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    8: lambda image: image[:, ::-1].transpose(1, 0, 2),
}
"""What turns the stored image upright, by the value of EXIF's orientation."""


def read_photo(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a photo as (H, W, 3) uint8 RGB, upright.

    Its orientation may be told by EXIF, by XMP or by the format itself (AVIF). Grey and palette
    images become RGB, an alpha channel is dropped. More than 8 bits become 8: the brightest pixel
    tells how many bits the sensor had.

    Args:
        path: of the file.
        max_pixels: a larger image is refused before it is decoded.

    Raises:
        HandmeshError: the file cannot be read or decoded, or is too large.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise HandmeshError(
            f"Cannot read {path} ({error.strerror}): check the path and its rights."
        ) from error
    (width, height), orientation = _header(content)
    if width * height > max_pixels:
        raise HandmeshError(
            f"{path} has {width} × {height} pixels, more than the limit of {max_pixels}: make it "
            f"smaller, or give `handmesh detect` a greater --max-pixels."
        )
    if content[4:12] in _AVIF and "AVIF" not in Image.OPEN:
        raise HandmeshError(
            f"{path} is AVIF, whose orientation Pillow {PIL.__version__} does not tell: convert "
            "it to JPEG or PNG, or pip install 'pillow>=11.3'."
        )
    image = None
    if content:
        with silent_libraries(), contextlib.suppress(cv2.error):
            image = cv2.imdecode(np.frombuffer(content, np.uint8), _AS_STORED)
    if image is None:
        raise HandmeshError(
            f"Cannot decode {path}: it is empty, damaged or of a format that OpenCV does not "
            f"read, so convert it to JPEG or PNG."
        )
    image = _UPRIGHT.get(orientation, np.asarray)(to_8_bits(image))
    return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2RGB)


def stored_size(content: bytes) -> tuple[int, int]:
    """Return the width and height that a picture's header tells; (0, 0) where it tells none."""
    return _header(content)[0]


def to_8_bits(image: np.ndarray) -> np.ndarray:
    """Return an image as uint8, scaled by the range that its values show.

    Args:
        image: uint8, which stays as it is; uint16 of 9 to 16 bits, of which the greatest value
            tells the number; or floating point, 1 or the greatest value being white.
    """
    if image.dtype == np.uint8:
        return image
    if image.dtype.kind == "f":
        image = np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0)
        white = max(1.0, float(image.max()))
    else:
        white = float(2 ** max(8, int(image.max()).bit_length()) - 1)
    return np.rint(image.clip(0) * (255.0 / white)).astype(np.uint8)


def _header(content: bytes) -> tuple[tuple[int, int], int]:
    """Return a picture's stored width and height and its orientation, as EXIF numbers it.

    Without decoding the pixels; ((0, 0), 1) for what Pillow does not know.
    """
    limit = Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = None  # Ours is checked.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content)) as image:
                if "exif" in image.info:  # Some write its header twice.
                    image.info["exif"] = _EXIF + _EXIFS.sub(b"", image.info["exif"], count=1)
                # PNG's own method would decode the pixels in search of data behind them. OpenCV
                # itself turns TIFF.
                exif = Image.Image.getexif(image) if image.format != "TIFF" else {}
                return image.size, int(exif.get(_ORIENTATION, 1))
    except Exception:  # Pillow's readers raise a dozen kinds; OpenCV says whether it is damaged.
        return (0, 0), 1
    finally:
        Image.MAX_IMAGE_PIXELS = limit


@contextlib.contextmanager
def silent_libraries() -> Iterator[None]:
    """Keep C libraries from printing: libpng and libjpeg know no other way to tell of damage.

    The standard error stream of the whole process is away meanwhile.
    """
    try:
        kept = os.dup(2)
    except OSError:  # There is no such stream.
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)

"""Writes pictures and videos with what cameras and programs put into them beside the pixels."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

EXIF = b"Exif\0\0"


def tiff(orientation: int, order: str = "<") -> bytes:
    """Return EXIF data, without their header, that hold an orientation alone."""
    head = b"MM\0*" if order == ">" else b"II*\0"
    return head + struct.pack(order + "IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0)


def xmp(orientation: int) -> bytes:
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/>'
        b"</rdf:RDF></x:xmpmeta>" % orientation
    )


def jpeg(picture: np.ndarray, application_data: bytes) -> bytes:
    plain = cv2.imencode(".jpg", picture)[1].tobytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(application_data) + 2) + application_data
    return plain[:2] + segment + plain[2:]


def png(picture: np.ndarray, kind: bytes, content: bytes) -> bytes:
    plain = cv2.imencode(".png", picture)[1].tobytes()
    body = kind + content
    chunk = struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
    return plain[:33] + chunk + plain[33:]


def webp(picture: np.ndarray, exif: bytes) -> bytes:
    plain = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, 90])[1].tobytes()
    at = plain.index(b"VP8 ")
    pixels = plain[at : at + 8 + struct.unpack_from("<I", plain, at + 4)[0]]
    height, width = picture.shape[:2]
    head = b"\x08\0\0\0" + b"".join(struct.pack("<I", n - 1)[:3] for n in (width, height))
    chunks = b"VP8X" + struct.pack("<I", 10) + head + pixels + b"\0" * (len(pixels) % 2)
    chunks += b"EXIF" + struct.pack("<I", len(exif)) + exif + b"\0" * (len(exif) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def write_video(
    path: Path, frames: list[np.ndarray], codec: str = "mp4v", rate: float = 25.0
) -> Path:
    """Write (H, W, 3) uint8 BGR frames."""
    height, width = frames[0].shape[:2]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, (width, height))
    assert video.isOpened()
    for frame in frames:
        video.write(frame)
    video.release()
    return path


def place(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Give an MP4 a display matrix a, b, c, d of -1, 0 and 1; players move it into sight."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    at += 4 + (32 if data[at] else 20) + 16
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def show_from(path: Path, first_s: float, length_s: float) -> None:
    """Hide all of an MP4 but a piece, as trimming without encoding does (an edit list)."""
    data = bytearray(path.read_bytes())
    scale, movie = (
        struct.unpack_from(">I", data, data.index(kind) + 4 + 12)[0] for kind in (b"mdhd", b"mvhd")
    )
    at = data.index(b"elst") + 4 + 8
    data[at : at + 8] = struct.pack(">Ii", int(length_s * movie), int(first_s * scale))
    path.write_bytes(data)


def widen(path: Path, across: int, down: int) -> None:
    """Give an MP4 of OpenCV's pixels that are not square."""
    data = bytearray(path.read_bytes())
    box = struct.pack(">I4sII", 16, b"pasp", across, down)
    entry = data.rindex(b"mp4v") - 4
    size = struct.unpack_from(">I", data, entry)[0]
    at = entry
    for name in (b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        at = data.rindex(name, 0, at) - 4
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(box))
    struct.pack_into(">I", data, entry, size + len(box))
    data[entry + size : entry + size] = box
    path.write_bytes(data)

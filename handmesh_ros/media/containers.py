"""What a video's file says of itself that OpenCV does not tell: its matrix, and where it ends."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_ENTERED = frozenset((b"moov", b"trak", b"mdia", b"edts"))
_MOST_BOXES = 100_000
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


@dataclass(frozen=True)
class Container:
    """What a file's structure says.

    Attributes:
        is_cut_short: whether parts lie beyond the end of the file.
        matrix: a, b, c, d of x' = a x + c y, y' = b x + d y, which places the stored picture on
            the screen; None where the file has none.
        counts_shown: whether all frames that the file counts are shown: an edit list may hide
            some.
    """

    is_cut_short: bool = False
    matrix: tuple[float, float, float, float] | None = None
    counts_shown: bool = False


def read_container(path: Path) -> Container:
    """Return what the structure of a file says: of MP4 and its relatives, Matroska and AVI.

    For others, and files that cannot be read, it says nothing.
    """
    try:
        with path.open("rb") as file:
            length = path.stat().st_size
            start = file.read(12)
            if start[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"pnot"):
                return _read_mp4(file, length)
            if start[:4] == b"RIFF":
                return Container(_riff_end(file, length) > length)
            if start[:4] == _EBML.to_bytes(4, "big"):
                return Container(_matroska_end(file) > length)
    except (OSError, OverflowError, ValueError, struct.error):
        pass
    return Container()


@dataclass
class _Track:
    matrix: tuple[float, ...] = ()
    handler: bytes = b""
    media_s: float = 0.0
    edits: int = 0
    shown: int = 0


def _read_mp4(file: BinaryIO, length: int) -> Container:
    """Read ISO 14496-12: the boxes of the first video track."""
    tracks: list[_Track] = []
    movie, movie_scale, fragmented, end = (1.0, 0.0, 0.0, 1.0), 0, False, 0
    for kind, start, stop, depth in _boxes(file, 0, length):
        if depth == 0:
            end = max(end, stop)
            fragmented |= kind == b"moof"
        if kind == b"trak":
            tracks.append(_Track())
        file.seek(start)
        body = file.read(min(stop - start, 112))
        wide = body[:1] == b"\1"
        if kind == b"mvhd":
            movie_scale = struct.unpack_from(">I", body, 20 if wide else 12)[0]
            movie = _matrix(body, 48 if wide else 36)
        elif tracks and kind == b"tkhd":
            tracks[-1].matrix = _matrix(body, 52 if wide else 40)
        elif tracks and kind == b"hdlr":
            tracks[-1].handler = body[8:12]
        elif tracks and kind == b"mdhd":
            scale, ticks = struct.unpack_from(">IQ" if wide else ">II", body, 20 if wide else 12)
            tracks[-1].media_s = ticks / scale if scale else 0.0
        elif tracks and kind == b"elst":
            tracks[-1].edits = struct.unpack_from(">I", body, 4)[0]
            tracks[-1].shown = struct.unpack_from(">Q" if wide else ">I", body, 8)[0]
    track = next((one for one in tracks if one.handler == b"vide"), None)
    if track is None:
        return Container(end > length)
    shown_s = track.shown / movie_scale if movie_scale else 0.0
    whole = track.edits == 0 or (track.edits == 1 and shown_s >= 0.95 * track.media_s)
    matrix = _times(track.matrix, movie) if track.matrix else None
    return Container(end > length, matrix, whole and not fragmented)


def _boxes(file: BinaryIO, start: int, end: int, depth: int = 0) -> Iterator[tuple]:
    """Yield kind, start and end of the content, and depth of boxes; an end may lie beyond."""
    for _ in range(_MOST_BOXES):
        if start >= end:
            return
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind = struct.unpack_from(">I4s", head)
        content = start + 8
        if size == 1 and len(head) == 16:
            size, content = struct.unpack_from(">Q", head, 8)[0], start + 16
        elif size == 0:  # To the end of the file.
            size = end - start
        if size < content - start or not kind.replace(b"\xa9", b"").isalnum():
            return
        yield kind, content, start + size, depth
        if kind in _ENTERED and depth < len(_ENTERED):
            yield from _boxes(file, content, min(start + size, end), depth + 1)
        start += size


def _matrix(body: bytes, at: int) -> tuple[float, float, float, float]:
    a, b, _, c, d = (value / 65536 for value in struct.unpack_from(">5i", body, at))
    return a, b, c, d


def _times(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, float, float, float]:
    (a, b, c, d), (e, f, g, h) = one, other
    return a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h


def _riff_end(file: BinaryIO, length: int) -> int:
    """Return where the last RIFF chunk of an AVI ends; recorders that were cut off write 0."""
    start = 0
    for _ in range(_MOST_BOXES):
        file.seek(start)
        head = file.read(8)
        if len(head) < 8 or head[:4] != b"RIFF":
            break
        size = struct.unpack_from("<I", head, 4)[0]
        start += 8 + size + size % 2
        if not size:
            break
    return start - 1 if start == length + 1 else start  # The padding may be missing.


def _matroska_end(file: BinaryIO) -> int:
    """Return where the segment of a Matroska or WebM file ends; 0 where it does not say."""
    start = 0
    for _ in range(8):
        file.seek(start)
        head = file.read(12)
        if len(head) < 12:
            break
        number = int.from_bytes(head[:4], "big")
        if number not in (_EBML, _SEGMENT):
            break
        width = 9 - head[4].bit_length()
        size = int.from_bytes(head[4 : 4 + width], "big") & (1 << 7 * width) - 1
        start += 4 + width + size
        if number == _SEGMENT:
            return 0 if size == (1 << 7 * width) - 1 else start  # Live ones do not know.
    return 0

"""The files that rosbag2 bags are made of, read in order of time: SQLite and MCAP.

Whatever their recorder left out (index, summary, order) is made up for here; metadata.yaml is not
needed.
"""

from __future__ import annotations

import heapq
import os
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import quote

import zstandard
from mcap.exceptions import McapError
from mcap.reader import SeekingReader
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader
from mcap.summary import Summary

from handmesh_ros.errors import HandmeshError

ZSTD_MAGIC, MCAP_MAGIC, SQLITE_MAGIC = b"\x28\xb5\x2f\xfd", b"\x89MCAP0\r\n", b"SQLite format 3\0"
ROS_1_MAGIC = b"#ROSBAG"

WINDOW_NS = 10**9
"""Messages of files without an index may be late by this much; so many are kept in memory."""

Item = tuple[int, str, bytes]
"""Time of recording in nanoseconds, topic, and the message as it is stored."""


@dataclass
class Contents:
    """What is in a file.

    Attributes:
        types: message type by topic, of those in ROS 2's own encoding.
        counts: messages by topic.
        others: encodings of the topics that were left out.
        start_ns, end_ns: of the first and the last message; None without any.
    """

    types: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    start_ns: int | None = None
    end_ns: int | None = None

    def add(self, topic: str, kind: str, encoding: str, count: int = 0) -> None:
        """Take in a topic, or more messages of it."""
        if encoding != "cdr":
            self.others.add(encoding or "none")
            return
        # ROS 2 wrote names without `msg` at first, and converters still do.
        package, _, name = kind.partition("/")
        self.types[topic] = kind if "/" in name else f"{package}/msg/{name}"
        self.counts[topic] = self.counts.get(topic, 0) + count

    def extend(self, start_ns: int | None, end_ns: int | None) -> None:
        """Take in the times of more messages."""
        starts = [each for each in (self.start_ns, start_ns) if each is not None]
        ends = [each for each in (self.end_ns, end_ns) if each is not None]
        self.start_ns, self.end_ns = min(starts, default=None), max(ends, default=None)


class BagFile(Protocol):
    """One file of a bag, open."""

    contents: Contents

    def messages(self, topics: Iterable[str]) -> Iterator[Item]:
        """Yield the messages of topics in order of time."""

    def close(self) -> None:
        """Close the file."""


def open_file(path: Path) -> BagFile:
    """Open a file by what is in it, whatever its name; one that is compressed is unpacked first.

    Raises:
        HandmeshError: it is none of a bag of ROS 2, or there is no room to unpack it.
    """
    with path.open("rb") as file:
        magic = file.read(16)
    if magic.startswith(ROS_1_MAGIC):
        raise HandmeshError(f"{path} is a bag of ROS 1: convert it with `rosbags-convert`.")
    if magic.startswith(ZSTD_MAGIC):
        return _Unpacked(path)
    if magic.startswith(MCAP_MAGIC):
        return McapFile(path)
    if magic.startswith(SQLITE_MAGIC) or _beside(path, "-wal"):
        return SqliteFile(path)
    raise ValueError(f"{path.name} begins neither like MCAP nor like SQLite")


def unpacked(data: bytes) -> bytes:
    """Return a message without the compression that rosbag2's mode MESSAGE puts on each."""
    is_packed = data[:4] == ZSTD_MAGIC  # a message begins with its byte order
    return zstandard.ZstdDecompressor().decompressobj().decompress(data) if is_packed else data


def _beside(path: Path, ending: str) -> bool:
    """Return whether SQLite has a log or journal beside a file, in which there is something."""
    other = path.with_name(path.name + ending)
    return other.is_file() and other.stat().st_size > 0


class _Unpacked:
    """A file of rosbag2's compression mode FILE, unpacked into a temporary one."""

    def __init__(self, path: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="handmesh_")
        try:
            inner = Path(self._folder.name) / path.stem
            with path.open("rb") as source, inner.open("wb") as target:
                zstandard.ZstdDecompressor().copy_stream(source, target)
            self._file = open_file(inner)
        except BaseException:
            self._folder.cleanup()
            raise
        self.contents = self._file.contents

    def messages(self, topics: Iterable[str]) -> Iterator[Item]:
        return self._file.messages(topics)

    def close(self) -> None:
        self._file.close()
        self._folder.cleanup()


class SqliteFile:
    """A .db3 file, with what is still in the write-ahead log beside it.

    Args:
        path: of the file, which stays as it is.
    """

    def __init__(self, path: Path) -> None:
        with ExitStack() as stack:
            self._database = self._open(path, stack)
            stack.callback(self._database.close)
            self._topics: dict[int, str] = {}
            self.contents = Contents()
            kinds = {
                number: (name, kind, encoding)
                for number, name, kind, encoding in self._database.execute(
                    "SELECT id, name, type, serialization_format FROM topics"
                )
            }
            for name, kind, encoding in kinds.values():
                self.contents.add(name, kind, encoding)
            for number, count, start_ns, end_ns in self._database.execute(
                "SELECT topic_id, COUNT(*), MIN(timestamp), MAX(timestamp) FROM messages "
                "GROUP BY topic_id"
            ):
                if number in kinds:
                    self.contents.add(*kinds[number], count=count)
                    self.contents.extend(start_ns, end_ns)
            self._topics = {number: kind[0] for number, kind in kinds.items() if kind[2] == "cdr"}
            self._stack = stack.pop_all()

    @staticmethod
    def _open(path: Path, stack: ExitStack) -> sqlite3.Connection:
        """Open the file, or a copy where SQLite must write beside it to read its log."""
        if not _beside(path, "-wal") and not _beside(path, "-journal"):
            _check_length(path)
            return sqlite3.connect(f"{database_uri(path)}?immutable=1", uri=True)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="handmesh_"))
        copy = Path(folder) / "bag.db3"
        for ending in ("", "-wal", "-journal"):
            source = path.with_name(path.name + ending)
            if source.exists():
                shutil.copyfile(source, copy.with_name(copy.name + ending))
        return sqlite3.connect(copy)

    def messages(self, topics: Iterable[str]) -> Iterator[Item]:
        """Yield the messages of topics in order of time."""
        wanted = [number for number, topic in self._topics.items() if topic in set(topics)]
        marks = ",".join("?" * len(wanted))
        for time_ns, number, data in self._database.execute(
            f"SELECT timestamp, topic_id, data FROM messages WHERE topic_id IN ({marks}) "
            "ORDER BY timestamp, id",
            wanted,
        ):
            yield time_ns, self._topics[number], data

    def close(self) -> None:
        """Close the file."""
        self._stack.close()


def _check_length(path: Path) -> None:
    """Check that a database file is as long as its header says: SQLite itself may not notice.

    Raises:
        ValueError: it is shorter.
    """
    with path.open("rb") as file:
        header = file.read(100)
    page_size, change, pages, valid_for = (
        int.from_bytes(header[start:end], "big")
        for start, end in ((16, 18), (24, 28), (28, 32), (92, 96))
    )
    expected = pages * (65536 if page_size == 1 else page_size)
    if change == valid_for and path.stat().st_size < expected:  # else the number is of old
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes of {expected}")


def database_uri(path: Path) -> str:
    """Return a path as SQLite wants it: #, ? and % mean something there."""
    return f"file:{quote(os.fsencode(path.absolute()))}"


class McapFile:
    """An .mcap file, with or without chunks, index, summary and profile.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.contents = Contents()
        with path.open("rb") as file:
            try:
                summary = SeekingReader(file, validate_crcs=True).get_summary()
                is_sound = _summary_is_sound(file)
            except McapError:  # Reading through the file says where it ends.
                summary, is_sound = None, False
        is_usable = summary is not None and is_sound and _is_complete(summary)
        self._index = summary if is_usable else None
        if self._index is None:
            self._scan()
        else:
            self._summarise(self._index)

    def _summarise(self, summary: Summary) -> None:
        counts = summary.statistics.channel_message_counts if summary.statistics else {}
        for number, channel in summary.channels.items():
            self._add(channel, summary.schemas.get(channel.schema_id), counts.get(number, 0))
        for chunk in summary.chunk_indexes:
            if chunk.message_end_time:  # 0 in a chunk without messages
                self.contents.extend(chunk.message_start_time, chunk.message_end_time)

    def _scan(self) -> None:
        """Read through the file, for it does not say what it holds."""
        schemas: dict[int, Schema] = {}
        channels: dict[int, Channel] = {}
        for record in self._records():
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel) and record.id not in channels:
                channels[record.id] = record
                self._add(record, schemas.get(record.schema_id), 0)
            elif isinstance(record, Message):
                channel = channels[record.channel_id]
                self._add(channel, schemas.get(channel.schema_id), 1)
                if channel.message_encoding == "cdr":
                    self.contents.extend(record.log_time, record.log_time)

    def _add(self, channel: Channel, schema: Schema | None, count: int) -> None:
        kind = schema.name if schema is not None else "unknown/unknown"
        self.contents.add(channel.topic, kind, channel.message_encoding, count)

    def _records(self) -> Iterator[object]:
        with self._path.open("rb") as file:
            yield from StreamReader(file, validate_crcs=True).records

    def messages(self, topics: Iterable[str]) -> Iterator[Item]:
        """Yield the messages of topics in order of time.

        Raises:
            HandmeshError: the file has no index, and a message is too late to be put in order.
        """
        wanted = set(topics)
        if self._index is None:
            yield from self._sorted(wanted)
            return
        # Chunks without an index of their messages may hold any topic.
        is_indexed = all(chunk.message_index_offsets for chunk in self._index.chunk_indexes)
        with self._path.open("rb") as file:
            reader = SeekingReader(file, validate_crcs=True)
            for _, channel, message in reader.iter_messages(wanted if is_indexed else None):
                if channel.topic in wanted and channel.message_encoding == "cdr":
                    yield message.log_time, channel.topic, message.data

    def _sorted(self, wanted: set[str]) -> Iterator[Item]:
        channels: dict[int, Channel] = {}
        waiting: list[tuple[int, int, str, bytes]] = []
        latest = told = -1
        for number, record in enumerate(self._records()):
            if isinstance(record, Channel):
                channels[record.id] = record
            if not isinstance(record, Message):
                continue
            channel = channels[record.channel_id]
            if channel.topic not in wanted or channel.message_encoding != "cdr":
                continue
            if record.log_time < told:
                raise HandmeshError(
                    f"{self._path} has no index, and a message of {channel.topic} is more than "
                    f"{1e-9 * WINDOW_NS:g} s out of order: sort it with `mcap sort`."
                )
            heapq.heappush(waiting, (record.log_time, number, channel.topic, record.data))
            latest = max(latest, record.log_time)
            while waiting[0][0] < latest - WINDOW_NS:
                told, _, topic, data = heapq.heappop(waiting)
                yield told, topic, data
        while waiting:
            time_ns, _, topic, data = heapq.heappop(waiting)
            yield time_ns, topic, data

    def close(self) -> None:
        """Do nothing: who reads opens the file anew."""


def _summary_is_sound(file: BinaryIO) -> bool:
    """Return whether the summary of an MCAP file has the checksum that its footer says, if any."""
    end = file.seek(-len(MCAP_MAGIC) - 4, os.SEEK_END)
    checksum = int.from_bytes(file.read(4), "little")
    file.seek(end - 16)
    start = int.from_bytes(file.read(8), "little")
    if not checksum or not start:
        return True
    file.seek(start)
    return zlib.crc32(file.read(end - start)) == checksum


def _is_complete(summary: Summary) -> bool:
    """Return whether a summary is enough to find all messages."""
    if summary.statistics is None or not summary.chunk_indexes:
        return False
    counts = summary.statistics.channel_message_counts
    return (
        len(summary.chunk_indexes) == summary.statistics.chunk_count
        and sum(counts.values()) == summary.statistics.message_count
        and set(counts) <= set(summary.channels)
        and all(
            channel.schema_id in summary.schemas or not channel.schema_id
            for channel in summary.channels.values()
        )
    )

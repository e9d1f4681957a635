"""rosbag2 bags, read and written without a running ROS; sqlite3 and MCAP."""

from __future__ import annotations

import heapq
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from ament_index_python.packages import get_package_share_path
from rclpy.serialization import serialize_message
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.rosbag2.enums import CompressionMode
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from handmesh_ros.common.files import parse_yaml
from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.bag.bag_files import BagFile, Contents, database_uri, open_file, unpacked

OWN_MESSAGES = ("LatencyBreakdown", "HandMesh", "HandMeshArray", "HandTopology")
STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}

_FOREVER = QosTime(9223372036, 854775807)
LATCHED = Qos(
    history=QosHistory.KEEP_LAST,
    depth=1,
    reliability=QosReliability.RELIABLE,
    durability=QosDurability.TRANSIENT_LOCAL,
    deadline=_FOREVER,
    lifespan=_FOREVER,
    liveliness=QosLiveliness.AUTOMATIC,
    liveliness_lease_duration=_FOREVER,
    avoid_ros_namespace_conventions=False,
)
"""With it `ros2 bag play` latches the topic again."""


def message_types() -> Typestore:
    """Return the message definitions of ROS 2 and our own, as bags store them."""
    store = get_typestore(Stores.ROS2_JAZZY)
    folder = get_package_share_path("handmesh_ros") / "msg"
    for name in OWN_MESSAGES:
        text = (folder / f"{name}.msg").read_text()
        store.register(get_types_from_msg(text, f"handmesh_ros/msg/{name}"))
    return store


def type_name(kind: type) -> str:
    """Return the name of a message class, such as `sensor_msgs/msg/Image`."""
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


_FILES = (".mcap", ".db3", ".bag", ".zstd")


class BagReader(AbstractContextManager["BagReader"]):
    """A bag: a folder with metadata.yaml, or one .mcap or .db3 file.

    Args:
        path: of the bag.

    Raises:
        HandmeshError: it is not there, is no bag of ROS 2, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.exists():
            raise HandmeshError(f"There is no bag at {path}: give a rosbag2 folder.")
        is_bag = (path / "metadata.yaml").exists() if path.is_dir() else path.suffix in _FILES
        if not is_bag:
            raise HandmeshError(
                f"{path} is no bag: give a rosbag2 folder (with metadata.yaml), or a file "
                ".mcap or .db3."
            )
        self._files: list[BagFile] = []
        self._contents = Contents()
        with ExitStack() as stack, self._damage_named():
            for each in self._paths():
                self._files.append(open_file(each))
                stack.callback(self._files[-1].close)
            self._stack = stack.pop_all()
        for file in self._files:
            found = file.contents
            for topic, kind in found.types.items():
                self._contents.add(topic, kind, "cdr", found.counts[topic])
            self._contents.extend(found.start_ns, found.end_ns)
            self._contents.others |= found.others
        if not self._contents.types and self._contents.others:
            self.__exit__()
            encodings = ", ".join(sorted(self._contents.others))
            advice = "convert it with `rosbags-convert`" if "ros1" in encodings else "give another"
            raise HandmeshError(
                f"The bag {path} has no messages of ROS 2, only of the encoding {encodings}: "
                f"{advice}."
            )

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def start_ns(self) -> int:
        """Time of the first message; 0 in an empty bag."""
        return self._contents.start_ns or 0

    @property
    def duration_s(self) -> float:
        """From the first message to the last."""
        return 1e-9 * ((self._contents.end_ns or 0) - self.start_ns)

    def topics(self, *types: str) -> list[str]:
        """Return the topics that have messages of one of these types, in order."""
        contents = self._contents
        return sorted(t for t, kind in contents.types.items() if kind in types and self.count(t))

    def type_of(self, topic: str) -> str:
        """Return the message type of a topic.

        Raises:
            HandmeshError: the bag has no such topic.
        """
        self._check([topic])
        return self._contents.types[topic]

    def count(self, topic: str) -> int:
        """Return how many messages a topic has.

        Raises:
            HandmeshError: the bag has no such topic.
        """
        self._check([topic])
        return self._contents.counts[topic]

    def messages(self, topics: Sequence[str]) -> Iterator[tuple[str, int, bytes]]:
        """Yield topic, time of recording in nanoseconds and serialised message, in order.

        Raises:
            HandmeshError: the bag has no such topic, or is damaged.
        """
        self._check(topics)
        with self._damage_named():
            streams = (file.messages(topics) for file in self._files)
            before_ns = -(2**63)
            for time_ns, topic, data in heapq.merge(*streams, key=lambda item: item[0]):
                if time_ns < before_ns:
                    raise ValueError("its index does not belong to its messages")
                before_ns = time_ns
                yield topic, time_ns, unpacked(data)

    def _paths(self) -> list[Path]:
        """Return the files of the bag.

        Raises:
            HandmeshError: metadata.yaml names one that is not there.
        """
        if not self._path.is_dir():
            return [self._path]
        metadata = parse_yaml((self._path / "metadata.yaml").read_text())
        names = metadata["rosbag2_bagfile_information"]["relative_file_paths"]
        # Of old bags they begin with the folder, which may have another name by now.
        paths = [self._path / PurePosixPath(name).name for name in names]
        missing = next((path for path in paths if not path.exists()), None)
        if missing is not None:
            raise HandmeshError(
                f"The bag {self._path} has no {missing.name}, which its metadata.yaml names: add "
                "it, or write the metadata anew with `ros2 bag reindex`."
            )
        return paths

    def _check(self, topics: Sequence[str]) -> None:
        missing = sorted(set(topics) - set(self._contents.types))
        if missing:
            names = sorted(self._contents.types)
            list_of = f"choose one of {', '.join(names)}" if names else "it is empty"
            raise HandmeshError(f"The bag {self._path} has no topic {missing[0]}: {list_of}.")

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        try:
            yield
        except (HandmeshError, GeneratorExit):
            raise
        except OSError as error:
            raise HandmeshError(
                f"The bag {self._path} cannot be read ({error.strerror or error}): make it "
                "readable, and room for what has to be unpacked."
            ) from error
        except Exception as error:
            # Those of sqlite, mcap, zstd, lz4, YAML and struct; and of our code where the file is
            # not what it expects.
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            if isinstance(error, (TypeError, LookupError, AttributeError)):
                reason = "it holds something else than a bag should"
            raise HandmeshError(
                f"The bag {self._path} cannot be read to its end ({reason}): it is damaged or "
                "was cut off; `ros2 bag reindex` or `mcap recover` may repair it."
            ) from error


class _SqliteWriter(Sqlite3Writer):
    """rosbags' own takes #, ? and % of a path for something else."""

    def __init__(self, path: Path, compression: CompressionMode) -> None:
        self.path = path / f"{path.name}.db3"
        self.conn = sqlite3.connect(database_uri(self.path), uri=True)
        self.conn.executescript(self.SQLITE_SCHEMA)
        self.cursor = self.conn.cursor()


class _Writer(Writer):
    STORAGE_PLUGINS = {**Writer.STORAGE_PLUGINS, StoragePlugin.SQLITE3: _SqliteWriter}


class BagWriter(AbstractContextManager["BagWriter"]):
    """Writes a bag; the same messages give the same bytes. Without success no bag is left.

    Args:
        path: folder that becomes the bag.
        storage: of `STORAGES`.

    Raises:
        HandmeshError: there is something at the path, or it cannot be written.
    """

    VERSION: Literal[8] = 8
    """Of the metadata: the latest that Humble reads, too."""

    def __init__(self, path: Path, storage: str) -> None:
        self._path = path
        self._types = message_types()
        self._connections: dict[str, Connection] = {}
        taken = HandmeshError(f"{path} is there already: remove it or choose another --out.")
        with self._problems_named():
            try:
                self._writer = _Writer(
                    path, version=self.VERSION, storage_plugin=STORAGES[storage]
                )
                self._writer.open()
            except WriterError as error:
                raise taken from error

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        try:
            with self._problems_named():
                self._writer.__exit__(kind, *error)
        except BaseException as problem:
            kind = type(problem)
            raise
        finally:
            if kind is not None:
                shutil.rmtree(self._path, ignore_errors=True)

    @contextmanager
    def _problems_named(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise HandmeshError(
                f"The bag {self._path} cannot be written ({reason}): make room or choose another "
                "--out."
            ) from error

    def write(self, topic: str, time_ns: int, message: Any, *, latched: bool = False) -> None:
        """Append a message.

        Args:
            topic: with namespace.
            time_ns: of recording, nanoseconds.
            message: of any ROS 2 type or of ours.
            latched: later subscribers get the topic's last message too.
        """
        kind = type(message)
        data, name = serialize_message(message), type_name(kind)
        # rclpy leaves chance bytes between fields, rosbags zeros.
        zeroed = self._types.serialize_cdr(self._types.deserialize_cdr(data, name), name)
        self.write_serialized(topic, time_ns, bytes(zeroed), kind, latched=latched)

    def write_serialized(
        self, topic: str, time_ns: int, data: bytes, kind: type, *, latched: bool = False
    ) -> None:
        """Append a message that is serialised already.

        Args:
            topic: with namespace.
            time_ns: of recording, nanoseconds.
            data: with zeros between the fields, or the same messages do not give the same bytes.
            kind: of the message.
            latched: later subscribers get the topic's last message too.
        """
        with self._problems_named():
            if topic not in self._connections:
                self._connections[topic] = self._writer.add_connection(
                    topic,
                    type_name(kind),
                    typestore=self._types,
                    offered_qos_profiles=[LATCHED] if latched else [],
                )
            self._writer.write(self._connections[topic], time_ns, data)


def choose_topic(candidates: Sequence[str], what: str, option: str) -> str:
    """Return the only candidate.

    Args:
        candidates: topics.
        what: they are, for the message.
        option: of the command line that chooses one.

    Raises:
        HandmeshError: there is none, or more than one.
    """
    if not candidates:
        raise HandmeshError(f"The bag has no {what}.")
    if len(candidates) > 1:
        raise HandmeshError(
            f"The bag has more than one {what}: choose with {option} one of "
            f"{', '.join(candidates)}."
        )
    return candidates[0]

"""rosbag2 bags, read and written without a running ROS by `rosbags`; sqlite3 and MCAP."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

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
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from handmesh_ros.errors import HandmeshError

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


_FILES = (".mcap", ".db3", ".bag")


class BagReader(AbstractContextManager["BagReader"]):
    """A bag: a folder with metadata.yaml, or one .mcap or .db3 file.

    Args:
        path: of the bag.

    Raises:
        HandmeshError: it is not there, is no bag, or is damaged.
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
        if path.suffix == ".bag":
            raise HandmeshError(f"{path} is a bag of ROS 1: convert it with `rosbags-convert`.")
        with self._damage_named():
            self._reader = Reader(path)
            self._reader.open()

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    @property
    def start_ns(self) -> int:
        """Time of the first message."""
        return self._reader.start_time

    @property
    def duration_s(self) -> float:
        """From the first message to the last."""
        return 1e-9 * self._reader.duration

    def topics(self, *types: str) -> list[str]:
        """Return the topics that have messages of one of these types, in order."""
        found = (each for each in self._reader.connections if each.msgcount)
        return sorted({each.topic for each in found if each.msgtype in types})

    def type_of(self, topic: str) -> str:
        """Return the message type of a topic.

        Raises:
            HandmeshError: the bag has no such topic.
        """
        return self._connections([topic])[0].msgtype

    def count(self, topic: str) -> int:
        """Return how many messages a topic has."""
        return sum(each.msgcount for each in self._connections([topic]))

    def messages(self, topics: Sequence[str]) -> Iterator[tuple[str, int, bytes]]:
        """Yield topic, time of recording in nanoseconds and serialised message, in order.

        Raises:
            HandmeshError: the bag has no such topic, or is damaged.
        """
        connections = self._connections(topics)
        with self._damage_named():
            for connection, time_ns, data in self._reader.messages(connections):
                yield connection.topic, time_ns, bytes(data)

    def _connections(self, topics: Sequence[str]) -> list[Connection]:
        found = [each for each in self._reader.connections if each.topic in topics]
        missing = sorted(set(topics) - {each.topic for each in found})
        if missing:
            raise HandmeshError(f"The bag {self._path} has no topic {missing[0]}: {self._list()}.")
        return found

    def _list(self) -> str:
        names = sorted({each.topic for each in self._reader.connections})
        return f"choose one of {', '.join(names)}" if names else "it is empty"

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        try:
            yield
        except (HandmeshError, GeneratorExit):
            raise
        except Exception as error:
            # Besides its own errors, rosbags lets those of sqlite, zstd, YAML and struct through,
            # and quotes those of its own code where the metadata is not what it expects.
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            if isinstance(error.__cause__ or error, (TypeError, LookupError, AttributeError)):
                reason = "it holds something else than a bag should"
            raise HandmeshError(
                f"The bag {self._path} cannot be read to its end ({reason}): it is damaged or "
                "was cut off; `ros2 bag reindex` or `mcap recover` may repair it."
            ) from error


class BagWriter(AbstractContextManager["BagWriter"]):
    """Writes a bag; the same messages give the same bytes. Without success no bag is left.

    Args:
        path: folder that becomes the bag.
        storage: of `STORAGES`.

    Raises:
        HandmeshError: there is something at the path, or it cannot be written.
    """

    def __init__(self, path: Path, storage: str) -> None:
        if path.exists():
            raise HandmeshError(f"{path} is there already: remove it or choose another --out.")
        self._path = path
        self._types = message_types()
        self._connections: dict[str, Connection] = {}
        self._writer = Writer(path, version=9, storage_plugin=STORAGES[storage])
        try:
            self._writer.open()
        except OSError as error:
            raise HandmeshError(
                f"The bag {path} cannot be written ({error.strerror}): choose another --out."
            ) from error

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        self._writer.__exit__(kind, *error)
        if kind is not None:
            shutil.rmtree(self._path, ignore_errors=True)

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

"""Files of bags that recorders and converters wrote in other ways than rosbag2 does by default."""

import io
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")
pytest.importorskip("rosbags", reason="needs rosbags: run `make test`")
pytest.importorskip("mcap", reason="needs mcap: run `make test`")

import yaml
import zstandard
from mcap.writer import CompressionType, IndexType, Writer
from rclpy.serialization import serialize_message
from std_msgs.msg import String

from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.bag.bag_files import WINDOW_NS
from handmesh_ros.ros.bag.bags import BagReader, BagWriter

pytestmark = pytest.mark.ros

TOPIC, KIND = "/words", "std_msgs/msg/String"
SECOND = 10**9


def word(number: int) -> bytes:
    return bytes(serialize_message(String(data=f"word {number}" + 300 * "x")))


@dataclass
class Style:
    """How an MCAP file is written."""

    use_chunking: bool = True
    compression: CompressionType = CompressionType.NONE
    index_types: IndexType = IndexType.ALL
    repeat_channels: bool = True
    repeat_schemas: bool = True
    use_statistics: bool = True
    use_summary_offsets: bool = True
    enable_crcs: bool = True
    chunk_size: int = 1000
    profile: str = "ros2"
    kind: str = KIND


def write_mcap(path: Path, times_ns: list[int], style: Style | None = None) -> Path:
    """Words 0, 1, … at these times, beside a topic of JSON."""
    style = style or Style()
    given = {**vars(style)}
    profile, kind = given.pop("profile"), given.pop("kind")
    with path.open("wb") as file:
        writer = Writer(file, **given)
        writer.start(profile=profile, library="a recorder")
        schema = writer.register_schema(kind, "ros2msg", b"string data")
        words = writer.register_channel(TOPIC, "cdr", schema)
        other = writer.register_schema("Thing", "jsonschema", b"{}")
        things = writer.register_channel("/things", "json", other)
        for number, time_ns in enumerate(times_ns):
            writer.add_message(words, time_ns, word(number), time_ns)
            writer.add_message(things, time_ns, b"{}", time_ns)
        writer.finish()
    return path


def write_sqlite(folder: Path, times_ns: list[int]) -> Path:
    with BagWriter(folder, "sqlite3") as bag:
        for number, time_ns in enumerate(times_ns):
            bag.write_serialized(TOPIC, time_ns, word(number), String)
    return folder / f"{folder.name}.db3"


def read(path: Path) -> list[tuple[int, int]]:
    """The words of a bag by number, with their times."""
    with BagReader(path) as bag:
        assert bag.topics(KIND) == [TOPIC] and bag.type_of(TOPIC) == KIND
        found = [
            (int(data[8:].split(b"x")[0].split()[1]), time_ns)
            for _, time_ns, data in bag.messages([TOPIC])
        ]
        assert len(found) == bag.count(TOPIC)
        if found:
            times = [time_ns for _, time_ns in found]
            assert times == sorted(times) and bag.start_ns == times[0]
            assert bag.duration_s == pytest.approx(1e-9 * (times[-1] - times[0]))
    return found


TIMES = [SECOND * second for second in (10, 11, 12, 13, 14, 15)]
LATE = [10 * SECOND, 12 * SECOND, 11_500_000_000, 13 * SECOND, 12_900_000_000, 15 * SECOND]
STYLES = {
    "as rosbag2 does": Style(),
    "zstd": Style(compression=CompressionType.ZSTD),
    "lz4": Style(compression=CompressionType.LZ4),
    "without chunks": Style(use_chunking=False),
    "without message index": Style(index_types=IndexType.CHUNK),
    "without chunk index": Style(index_types=IndexType.NONE),
    "channels once": Style(repeat_channels=False),
    "schemas once": Style(repeat_schemas=False),
    "all once": Style(repeat_channels=False, repeat_schemas=False),
    "without statistics": Style(use_statistics=False),
    "without checksums": Style(enable_crcs=False),
    "without summary": Style(
        index_types=IndexType.NONE, repeat_channels=False, repeat_schemas=False,
        use_statistics=False, use_summary_offsets=False,
    ),
    "no profile": Style(profile=""),
    "another profile": Style(profile="demo"),
    "old type names": Style(kind="std_msgs/String"),
}  # fmt: skip


@pytest.mark.parametrize("times", [TIMES, LATE, []], ids=["in order", "late", "empty"])
@pytest.mark.parametrize("name", STYLES)
def test_mcap_files_of_any_recorder_are_whole(tmp_path, name, times):
    path = write_mcap(tmp_path / "words.mcap", times, STYLES[name])
    if not times:
        with BagReader(path) as bag:
            assert bag.topics(KIND) == []
        return
    expected = sorted(enumerate(times), key=lambda each: each[1])
    assert read(path) == expected


def test_two_readers_of_one_file_do_not_disturb_each_other(tmp_path):
    path = write_mcap(tmp_path / "words.mcap", TIMES)
    with BagReader(path) as bag:
        first = bag.messages([TOPIC])
        next(first)
        assert len(list(bag.messages([TOPIC]))) == len(TIMES)
        assert len(list(first)) == len(TIMES) - 1


def test_what_cannot_be_put_in_order_is_said_with_the_remedy(tmp_path):
    times = [10 * SECOND, 10 * SECOND + 3 * WINDOW_NS, 10 * SECOND - 1]
    path = write_mcap(tmp_path / "words.mcap", times, Style(use_chunking=False))
    with BagReader(path) as bag, pytest.raises(HandmeshError, match="out of order.*mcap sort"):
        list(bag.messages([TOPIC]))
    assert len(read(write_mcap(tmp_path / "chunked.mcap", times))) == 3, "with an index it works"


@pytest.mark.parametrize("encoding", ["ros1", "json"])
def test_a_file_of_other_messages_is_said_to_be_one(tmp_path, encoding):
    path = tmp_path / "words.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start(profile=encoding)
        schema = writer.register_schema("std_msgs/String", f"{encoding}msg", b"string data")
        channel = writer.register_channel(TOPIC, encoding, schema)
        writer.add_message(channel, SECOND, b"1234", SECOND)
        writer.finish()
    words = "rosbags-convert" if encoding == "ros1" else "give another"
    with pytest.raises(
        HandmeshError, match=f"no messages of ROS 2, only .* {encoding}: .*{words}"
    ):
        BagReader(path)


def test_a_damaged_chunk_is_noticed(tmp_path):
    path = write_mcap(tmp_path / "words.mcap", TIMES)
    data = bytearray(path.read_bytes())
    place = data.index(b"word 2") + 50
    data[place] ^= 1
    path.write_bytes(data)
    with BagReader(path) as bag, pytest.raises(HandmeshError, match="is damaged"):
        list(bag.messages([TOPIC]))


def test_an_index_that_is_damaged_is_not_believed(tmp_path):
    path = write_mcap(tmp_path / "words.mcap", LATE)
    data = bytearray(path.read_bytes())
    start = int.from_bytes(data[-28:-20], "little")
    expected = sorted(enumerate(LATE), key=lambda each: each[1])
    for place in range(start, len(data) - 40, 7):
        changed = bytearray(data)
        changed[place] ^= 0x41
        path.write_bytes(changed)
        try:
            assert read(path) == expected
        except HandmeshError as problem:
            assert "is damaged" in str(problem)


@pytest.mark.parametrize("checkpointed", [0, 3])
def test_messages_in_the_write_ahead_log_are_read_and_stay_there(tmp_path, checkpointed):
    file = write_sqlite(tmp_path / "bag", TIMES[:3])
    database = sqlite3.connect(file)
    if not checkpointed:
        database.execute("DELETE FROM messages")
        database.commit()
        database.execute("VACUUM")
    database.execute("PRAGMA journal_mode=WAL")
    for number in range(checkpointed, 6):
        database.execute(
            "INSERT INTO messages (topic_id, timestamp, data) VALUES (1, ?, ?)",
            (TIMES[number], word(number)),
        )
    database.commit()
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "bag", cut)  # the power goes here
    database.close()
    (cut / "bag.db3-shm").unlink()
    before = {path.name: path.read_bytes() for path in cut.iterdir()}
    for path in (cut, cut / "bag.db3"):
        assert [number for number, _ in read(path)] == list(range(6))
    assert {path.name: path.read_bytes() for path in cut.iterdir()} == before


@pytest.mark.parametrize(
    "name", ["take#3", "why?", "run%41", "50% off", "a&b=c", "späte Stunde", "semi;colon"]
)
@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_paths_are_what_they_are(tmp_path, name, storage):
    folder = tmp_path / name / name
    with BagWriter(folder, storage) as bag:
        bag.write(TOPIC, SECOND, String(data="word 0x"))
    suffix = "db3" if storage == "sqlite3" else "mcap"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [f"{name}.{suffix}", "metadata.yaml"]
    )
    assert [path.name for path in (tmp_path / name).iterdir()] == [name]
    assert read(folder) == [(0, SECOND)] == read(folder / f"{name}.{suffix}")


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
@pytest.mark.parametrize("mode", ["message", "file"])
def test_compressed_bags_and_their_files(tmp_path, storage, mode):
    folder = tmp_path / "bag"
    packed = zstandard.ZstdCompressor().compress
    with BagWriter(folder, storage) as bag:
        for number, time_ns in enumerate(TIMES):
            data = word(number)
            bag.write_serialized(
                TOPIC, time_ns, packed(data) if mode == "message" else data, String
            )
    (file,) = (path for path in folder.iterdir() if path.name != "metadata.yaml")
    metadata = yaml.safe_load((folder / "metadata.yaml").read_text())
    information = metadata["rosbag2_bagfile_information"]
    information.update(compression_format="zstd", compression_mode=mode.upper())
    if mode == "file":
        whole = file.read_bytes()
        file.unlink()
        file = file.with_name(file.name + ".zstd")
        file.write_bytes(packed(whole))
        information["relative_file_paths"] = [file.name]
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    for path in (folder, file):
        assert [number for number, _ in read(path)] == list(range(6))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 10},
        {"version": 4, "relative_file_paths": ["another_name/bag.mcap"]},
        {"topics_with_message_count": []},
        {"storage_identifier": "sqlite3"},
        {"message_count": 0, "duration": {"nanoseconds": 0}},
    ],
)
def test_metadata_may_be_of_another_version_or_wrong(tmp_path, change):
    folder = tmp_path / "bag"
    with BagWriter(folder, "mcap") as bag:
        for number, time_ns in enumerate(TIMES):
            bag.write_serialized(TOPIC, time_ns, word(number), String)
    metadata = yaml.safe_load((folder / "metadata.yaml").read_text())
    metadata["rosbag2_bagfile_information"].update(change)
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    assert [number for number, _ in read(folder)] == list(range(6))


def test_a_file_that_is_missing_is_named(tmp_path):
    folder = tmp_path / "bag"
    with BagWriter(folder, "mcap") as bag:
        bag.write(TOPIC, SECOND, String())
    (folder / "bag.mcap").unlink()
    with pytest.raises(HandmeshError, match="has no bag.mcap, which its metadata.yaml names"):
        BagReader(folder)


def test_messages_out_of_order_at_a_split_are_put_in_order(tmp_path):
    folder = tmp_path / "bag"
    folder.mkdir()
    write_mcap(folder / "bag_0.mcap", [10 * SECOND, 12 * SECOND])
    write_mcap(folder / "bag_1.mcap", [11 * SECOND, 13 * SECOND], Style(use_chunking=False))
    names = {"relative_file_paths": ["bag_0.mcap", "bag_1.mcap"]}
    (folder / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": names}))
    assert [time_ns // SECOND for _, time_ns in read(folder)] == [10, 11, 12, 13]


def test_a_result_opens_on_humble(tmp_path):
    with BagWriter(tmp_path / "bag", "mcap") as bag:
        bag.write(TOPIC, SECOND, String(), latched=True)
    information = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())[
        "rosbag2_bagfile_information"
    ]
    assert information["version"] == 8
    (topic,) = information["topics_with_message_count"]
    qos = topic["topic_metadata"]["offered_qos_profiles"]
    assert isinstance(qos, str), "what Humble reads"
    assert yaml.safe_load(qos)[0]["durability"] == 1  # transient local


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_two_results_in_one_place_are_refused(tmp_path, storage, monkeypatch):
    import handmesh_ros.ros.bag.bags as bags

    path, real = tmp_path / "out", bags.message_types

    def other_run_comes_first():
        path.mkdir()
        (path / "its.mcap").write_text("its messages")
        return real()

    monkeypatch.setattr(bags, "message_types", other_run_comes_first)
    with pytest.raises(HandmeshError, match="is there already"):
        BagWriter(path, storage)
    assert (path / "its.mcap").read_text() == "its messages"


class FullDisk(io.RawIOBase):
    def write(self, data):
        raise OSError(28, "No space left on device")

    def tell(self):
        return 0


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(HandmeshError, match="cannot be written .No space left on device"):
        with BagWriter(path, "mcap") as bag:
            bag._writer.storage.bio = FullDisk()
            for number in range(6000):
                bag.write_serialized(TOPIC, number, word(number), String)
    assert not path.exists()


def test_a_full_disk_at_the_end_is_one_too(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(HandmeshError, match="cannot be written .No space left on device"):
        with BagWriter(path, "mcap") as bag:
            bag.write(TOPIC, SECOND, String())
            bag._writer.storage.bio = FullDisk()
    assert not path.exists()


def test_a_file_that_cannot_be_opened_is_not_called_damaged(tmp_path, monkeypatch):
    path = write_mcap(tmp_path / "words.mcap", TIMES)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("handmesh_ros.ros.bag.bags.open_file", refuse)
    with pytest.raises(HandmeshError, match="cannot be read .Permission denied.") as problem:
        BagReader(path)
    assert "damaged" not in str(problem.value)

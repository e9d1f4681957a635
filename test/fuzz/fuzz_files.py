"""Targets of `make fuzz`: bags, sidecars, parameters and what else is read from files."""

from __future__ import annotations

import functools
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from fuzz_oracles import check_sentence
from hypothesis import strategies as st
from mcap.writer import Writer as McapWriter
from rclpy.serialization import serialize_message
from std_msgs.msg import String

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.models import find_model
from handmesh_ros.inference.sidecar import Sidecar
from handmesh_ros.ros.bag.bags import BagReader, BagWriter
from handmesh_ros.ros.calibration.lengths_file import read_lengths, store_length
from handmesh_ros.ros.parameters.parameter_file import read_parameters
from handmesh_ros.ros.parameters.schema import Parameters

TOPIC, COUNT = "/words", 40
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["mobile", "auto", "raw", "onnxruntime", "1e999", "~"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "zero", "cut", "insert", "repeat"]),
        st.floats(0.0, 1.0),
        st.integers(0, 255),
        st.integers(1, 64),
    ),
    max_size=4,
)


def edited(data: bytes, edits: list[tuple[str, float, int, int]]) -> bytes:
    """Return damaged data: each edit is what, at which part, with which byte, how many."""
    out = bytearray(data)
    for what, part, byte, size in edits:
        at = int(part * max(len(out) - 1, 0))
        if what == "set" and out:
            out[at] = byte
        elif what == "zero":
            out[at : at + size] = bytes(len(out[at : at + size]))
        elif what == "cut":
            del out[at:]
        elif what == "insert":
            out[at:at] = bytes([byte]) * size
        elif what == "repeat":
            out[at:at] = out[at : at + size]
    return bytes(out)


@functools.cache
def whole_bag(storage: str) -> tuple[dict[str, bytes], frozenset[bytes]]:
    """The files of a small bag, and the messages in it."""
    words = [bytes(serialize_message(String(data=f"word {n} " * 9))) for n in range(COUNT)]
    if storage == "mcap":  # with checksums, which rosbags does not write
        file = io.BytesIO()
        writer = McapWriter(file, chunk_size=1000)
        writer.start("ros2")
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data")
        channel = writer.register_channel(TOPIC, "cdr", schema)
        for number, data in enumerate(words):
            time_ns = 10**9 + number * 10**8
            writer.add_message(channel, time_ns, data, time_ns)
        writer.finish()
        names = {"rosbag2_bagfile_information": {"relative_file_paths": ["bag.mcap"]}}
        metadata = yaml.safe_dump(names).encode()
        return {"bag.mcap": file.getvalue(), "metadata.yaml": metadata}, frozenset(words)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "bag"
        with BagWriter(path, storage) as bag:
            for number, data in enumerate(words):
                bag.write_serialized(TOPIC, 10**9 + number * 10**8, data, String)
        return {each.name: each.read_bytes() for each in path.iterdir()}, frozenset(words)


def fuzz_bags(
    storage: str, edits: list[tuple[str, float, int, int]], of_metadata: bool, as_file: bool
) -> None:
    """A damaged bag is refused in one sentence, or gives messages that were in it, in order."""
    files, words = whole_bag(storage)
    with tempfile.TemporaryDirectory() as name:
        for file, data in files.items():
            is_metadata = file == "metadata.yaml"
            given = edited(data, edits) if is_metadata == of_metadata else data
            (Path(name) / file).write_bytes(given)
        data_file = next(each for each in files if each != "metadata.yaml")
        try:
            with BagReader(Path(name) / data_file if as_file else Path(name)) as bag:
                topics = bag.topics("std_msgs/msg/String")
                found = list(bag.messages([TOPIC])) if TOPIC in topics else []
        except HandmeshError as problem:
            check_sentence(problem)
            return
    times = [time_ns for _, time_ns, _ in found]
    assert times == sorted(times)
    if storage == "mcap":  # SQLite has no checksums
        assert all(data in words for _, _, data in found)
    if not edits or (of_metadata and as_file):
        assert len(found) == COUNT


def fuzz_sidecars(changes: dict[str, Any], edits: list[tuple[str, float, int, int]]) -> None:
    """A sidecar is refused in one sentence, or says something that a network can be."""
    content = json.loads(find_model("mobile").with_suffix(".json").read_text())
    text = json.dumps({**content, **changes}).encode()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.json"
        path.write_bytes(edited(text, edits))
        try:
            sidecar = Sidecar.read(path)
        except HandmeshError as problem:
            check_sentence(problem)
            return
    assert min(*sidecar.input_size, sidecar.max_hands) >= 1
    assert 0.0 <= sidecar.score_threshold <= 1.0


def fuzz_parameters(changes: dict[str, Any]) -> None:
    """Values of parameters are possible or refused, given in a file or at run time."""
    try:
        found = Parameters().replaced(changes)
    except HandmeshError as problem:
        check_sentence(problem)
    else:
        for name, (default, setting) in Parameters.settings().items():
            value = getattr(found, name)
            assert type(value) is type(default)
            if setting.range is not None and not (setting.or_zero and value == 0):
                assert setting.range[0] <= value <= setting.range[1]


def fuzz_parameter_files(content: Any, edits: list[tuple[str, float, int, int]]) -> None:
    """A parameter file is read or refused in one sentence."""
    text = yaml.safe_dump({"/**": {"ros__parameters": content}}, allow_unicode=True).encode()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "file.yaml"
        path.write_bytes(edited(text, edits))
        try:
            read_parameters(path, [])
        except HandmeshError as problem:
            check_sentence(problem)


def fuzz_lengths(content: Any, edits: list[tuple[str, float, int, int]], length_m: float) -> None:
    """A damaged file of lengths is named and kept; a length that is stored can be read."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "lengths.yaml"
        path.write_bytes(edited(yaml.safe_dump(content, allow_unicode=True).encode(), edits))
        try:
            read_lengths(path)
        except HandmeshError as problem:
            check_sentence(problem)
        try:
            store_length(path, 1, length_m)
        except HandmeshError as problem:
            check_sentence(problem)
            return
        assert abs(read_lengths(path)["right"] - length_m) < 1e-4


NAMES = st.sampled_from(list(Parameters.settings()))
FIELDS = st.sampled_from(
    ["input_size", "max_hands", "score_threshold", "hand_model", "metrics", "training_data"]
    + ["model_id", "precision", "licence", "provenance", "format", "contract", "keypoint_order"]
)
TARGETS: dict[str, tuple[Any, dict[str, st.SearchStrategy]]] = {
    "bags": (
        fuzz_bags,
        {
            "storage": st.sampled_from(["mcap", "sqlite3"]),
            "edits": EDITS,
            "of_metadata": st.booleans(),
            "as_file": st.booleans(),
        },
    ),
    "sidecars": (
        fuzz_sidecars,
        {"changes": st.dictionaries(FIELDS, VALUES, max_size=2), "edits": EDITS},
    ),
    "parameters": (
        fuzz_parameters,
        {"changes": st.dictionaries(NAMES, SCALARS, max_size=3)},
    ),
    "parameter_files": (
        fuzz_parameter_files,
        {"content": st.dictionaries(NAMES, VALUES, max_size=3) | VALUES, "edits": EDITS},
    ),
    "lengths": (
        fuzz_lengths,
        {
            "content": st.dictionaries(
                st.sampled_from(["left", "right", "x"]), VALUES, max_size=2
            ),
            "edits": EDITS,
            "length_m": st.floats(0.0, 0.5) | st.floats(),
        },
    ),
}

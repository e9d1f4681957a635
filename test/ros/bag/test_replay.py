"""`handmesh replay`: a recorded bag with truth, and bags that something is wrong with."""

import array
import copy
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")
pytest.importorskip("rosbags", reason="needs rosbags: run `make test`")

from geometry_msgs.msg import PoseArray
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image

from handmesh_ros.cli.main import main
from handmesh_ros.hand.size import hand_length
from handmesh_ros.msg import HandMesh, HandMeshArray, HandTopology
from handmesh_ros.ros.bag.bags import BagReader, BagWriter

pytestmark = pytest.mark.ros

BAG = Path(__file__).resolve().parent / "bags" / "two_hands"
KINDS = {
    "hands": HandMeshArray,
    "hands_raw": HandMeshArray,
    "wrists": PoseArray,
    "topology": HandTopology,
}


def read(bag: Path, topic: str) -> list:
    with BagReader(bag) as opened:
        kind = KINDS[topic.rpartition("/")[2]]
        return [deserialize_message(data, kind) for _, _, data in opened.messages([topic])]


def read_truth() -> list:
    """The true hands, by the definitions in the bag: ours may have got more fields since."""
    from rosbags.highlevel import AnyReader

    with AnyReader([BAG]) as bag:
        connections = [each for each in bag.connections if each.topic == "/truth"]
        return [bag.deserialize(data, c.msgtype) for c, _, data in bag.messages(connections)]


def stamp_of(message) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def files_of(bag: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(bag.iterdir())}


@pytest.fixture
def record(tmp_path, image, camera_info):
    """Writes a bag of messages: (topic, seconds, message) each; returns its path."""

    def write(messages: list, storage: str = "mcap") -> Path:
        path = tmp_path / f"recorded_{storage}"
        with BagWriter(path, storage) as bag:
            for topic, seconds, message in messages:
                bag.write(topic, round(1e9 * (100 + seconds)), message)
        return path

    return write


@pytest.fixture
def moments(image, camera_info):
    """Ten images, a tenth of a second apart, and their calibrations, as a camera sends them."""
    messages = []
    for number in range(10):
        for topic, message in (("/cam/image_raw", image), ("/cam/camera_info", camera_info)):
            sent = copy.deepcopy(message)
            sent.header.stamp.sec, sent.header.stamp.nanosec = 100, number * 10**8
            messages.append((topic, 0.1 * number, sent))
    return messages


def test_the_recorded_hands_are_found_where_they_are(tmp_path):
    out = tmp_path / "results"
    command = ["replay", str(BAG), "--out", str(out), "--namespace", "robot"]
    assert main([*command, "-p", "backend:=onnxruntime"]) == 0
    found, truth = read(out, "/robot/hands"), read_truth()
    assert [stamp_of(each) for each in found] == [stamp_of(each) for each in truth]
    assert all(message.calibrated for message in found)
    assert len(read(out, "/robot/wrists")[-1].poses) == 2
    (topology,) = read(out, "/robot/topology")
    assert topology.vertex_count == 778
    ids: dict[int, set[int]] = {0: set(), 1: set()}
    pixels, metres, expected, seen = [], [], 0, 0
    for message, true_message in zip(found, truth, strict=True):
        for true in true_message.hands:
            same = [h for h in message.hands if h.handedness == true.handedness]
            expected, seen = expected + 1, seen + len(same)
            for hand in same:
                ids[hand.handedness].add(hand.track_id)
                off = np.subtract(hand.keypoints_2d, true.keypoints_2d).reshape(21, 2)
                size = np.ptp(np.reshape(true.keypoints_2d, (21, 2)), axis=0).max()
                pixels.append(np.linalg.norm(off, axis=1).mean() / size)
                metres.append(np.linalg.norm(np.subtract(hand.joints[:3], true.joints[:3])))
    assert expected == 48 and abs(seen - expected) <= 4
    assert len(ids[0]) == len(ids[1]) == 1, "a hand changed its id"
    assert np.median(pixels) < 0.10, "of the hand's size in the image"
    assert np.median(metres) < 0.15


def test_results_go_beside_the_bag_also_from_inside_it(
    tmp_path, tiny_model, record, moments, monkeypatch, capsys
):
    bag = record(moments).rename(tmp_path / "walk.1")
    monkeypatch.chdir(bag)
    assert main(["replay", ".", "-p", f"model:={tiny_model}"]) == 0
    assert len(read(tmp_path / "walk.1_hands", "/hands")) == 10


def test_the_same_bag_gives_the_same_bytes(tmp_path, capsys):
    bags = [tmp_path / folder / "results" for folder in ("once", "twice")]
    for bag in bags:
        assert main(["replay", str(BAG), "--out", str(bag), "-p", "backend:=onnxruntime"]) == 0
    assert files_of(bags[0]) == files_of(bags[1])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and "24 images" in lines[0] and "2 tracks" in lines[0]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_both_storages_and_the_node_s_parameters(tmp_path, tiny_model, record, moments, storage):
    bag, out = record(moments, storage), tmp_path / "out"
    arguments = ["-p", f"model:={tiny_model}", "-p", "publish_mesh:=false", "--storage", storage]
    assert main(["replay", str(bag), "--out", str(out), *arguments]) == 0
    hands, raw = read(out, "/hands"), read(out, "/hands_raw")
    assert len(hands) == len(raw) == 10
    assert [hand.track_id for hand in hands[-1].hands] == [1, 2]
    assert not hands[-1].hands[0].vertices
    assert math.isnan(hands[-1].latency.age_ms), "a measured time differs from run to run"


def test_a_calibration_that_was_recorded_late_holds_from_the_start(
    tmp_path, tiny_model, record, moments
):
    late = [m for m in moments if m[0] == "/cam/image_raw" or m[1] >= 0.5]
    out = tmp_path / "out"
    assert (
        main(["replay", str(record(late)), "--out", str(out), "-p", f"model:={tiny_model}"]) == 0
    )
    assert all(message.calibrated for message in read(out, "/hands"))


def test_depth_that_was_recorded_after_its_image_is_used(tmp_path, tiny_model, record, moments):
    metres = np.full((48, 64), 0.9, np.float32)
    for topic, seconds, message in list(moments):
        if topic == "/cam/image_raw":
            depth = Image(
                header=message.header, height=48, width=64, encoding="32FC1", step=4 * 64,
                data=array.array("B", metres.tobytes()),
            )  # fmt: skip
            moments.append(("/cam/depth", seconds + 0.05, depth))
    bag = record(sorted(moments, key=lambda moment: moment[1]))
    out, model = tmp_path / "out", f"model:={tiny_model}"
    assert main(["replay", str(bag), "--out", str(out), "-p", model, "--depth", "/cam/depth"]) == 0
    sources = {hand.scale_source for message in read(out, "/hands") for hand in message.hands}
    assert sources == {HandMesh.DEPTH}


def test_images_that_cannot_be_used_are_named_once_and_counted(
    tmp_path, tiny_model, record, moments, capsys
):
    for topic, seconds, message in moments:
        if topic == "/cam/image_raw" and seconds < 0.35:
            message.encoding = "rgb7"
    out = tmp_path / "out"
    arguments = ["--out", str(out), "-p", f"model:={tiny_model}"]
    assert main(["replay", str(record(moments)), *arguments]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("'rgb7' is unknown") == 1
    assert "10 images (4 could not be used)" in printed.out
    assert len(read(out, "/hands")) == 6


def test_a_message_that_was_cut_short_costs_one_image(tmp_path, tiny_model, moments, capsys):
    bag, out = tmp_path / "recorded", tmp_path / "out"
    with BagWriter(bag, "mcap") as writer:
        for number, (topic, seconds, message) in enumerate(moments):
            data = bytes(serialize_message(message))
            short = data[:60] if number in (4, 5) else data
            writer.write_serialized(topic, round(1e9 * (100 + seconds)), short, type(message))
    assert main(["replay", str(bag), "--out", str(out), "-p", f"model:={tiny_model}"]) == 0
    printed = capsys.readouterr()
    assert "10 images (1 could not be used)" in printed.out
    assert "sensor_msgs/msg/Image of the bag cannot be read" in printed.err
    assert "sensor_msgs/msg/CameraInfo of the bag cannot be read" in printed.err
    assert len(printed.err.splitlines()) == 2
    assert len(read(out, "/hands")) == 9


def test_lengths_come_from_the_file_that_is_named(tmp_path, tiny_model, record, moments, capsys):
    bag, lengths = record(moments), tmp_path / "lengths.yaml"
    arguments = ["-p", f"model:={tiny_model}", "-p", f"calibration_file:={lengths}"]
    out = tmp_path / "out"
    assert main(["replay", str(bag), "--out", str(out), *arguments]) == 1
    assert f"The calibration_file {lengths} does not exist" in capsys.readouterr().err
    lengths.write_text("left: 0.15\nright: 0.2\n")
    arguments += ["-p", "right_hand_length_m:=0.16"]
    assert main(["replay", str(bag), "--out", str(out), *arguments]) == 0
    expected = {HandMesh.LEFT: 0.15, HandMesh.RIGHT: 0.16}
    for hand in read(out, "/hands")[-1].hands:
        joints = np.reshape(hand.joints, (1, 21, 3))
        assert hand_length(joints)[0] == pytest.approx(expected[hand.handedness], rel=1e-3)
        assert hand.scale_source == HandMesh.CALIBRATED


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        (lambda moments: [m for m in moments if m[0] != "/cam/image_raw"], [], "no image topic"),
        (lambda moments: [m for m in moments if m[0] == "/cam/image_raw"], [], "give --fov"),
        (lambda moments: [*moments, ("/b", 0.1, moments[0][2])], [], "one of /b, /cam/image_raw"),
        (lambda moments: moments, ["--image", "/nothing"], "no topic /nothing: choose one of"),
        (lambda moments: moments, ["--image", "/cam/camera_info"], "no images"),
        (lambda moments: moments, ["--camera-info", "/cam/image_raw"], "--camera-info needs"),
        (lambda moments: moments, ["--depth", "/cam/camera_info"], "--depth needs"),
    ],
)
def test_what_cannot_be_replayed_is_one_sentence(
    tmp_path, tiny_model, record, moments, capsys, change, arguments, words
):
    bag, out = record(change(moments)), tmp_path / "out"
    model = ["-p", f"model:={tiny_model}"]
    assert main(["replay", str(bag), "--out", str(out), *model, *arguments]) == 1
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1
    assert not out.exists()


def test_without_calibration_a_field_of_view_can_be_given(tmp_path, tiny_model, record, moments):
    bag, out = record([m for m in moments if m[0] == "/cam/image_raw"]), tmp_path / "out"
    arguments = ["--out", str(out), "-p", f"model:={tiny_model}", "--fov", "90"]
    assert main(["replay", str(bag), *arguments]) == 0
    message = read(out, "/hands")[0]
    assert not message.calibrated
    assert message.intrinsics[0] == pytest.approx(32)


def test_only_unusable_images_are_a_failure(tmp_path, tiny_model, record, moments, capsys):
    for _, _, message in moments:
        if isinstance(message, Image):
            message.encoding = "rgb7"
    bag, out = record(moments), tmp_path / "out"
    assert main(["replay", str(bag), "--out", str(out), "-p", f"model:={tiny_model}"]) == 1
    assert "None of the 10 images" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.98])
def test_a_bag_that_was_cut_off(tmp_path, tiny_model, record, moments, capsys, storage, part):
    bag, out = record(moments, storage), tmp_path / "out"
    (data,) = (path for path in bag.iterdir() if path.name != "metadata.yaml")
    content = data.read_bytes()
    data.write_bytes(content[: int(part * len(content))])
    assert main(["replay", str(bag), "--out", str(out), "-p", f"model:={tiny_model}"]) == 1
    error = capsys.readouterr().err
    assert "was cut off" in error and len(error.splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize("metadata", ["5", "rosbag2_bagfile_information: 5", "[]", "{}"])
def test_metadata_of_something_else(tmp_path, record, moments, capsys, metadata):
    bag = record(moments)
    (bag / "metadata.yaml").write_text(metadata)
    assert main(["replay", str(bag), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "cannot be read" in error and "object" not in error and len(error.splitlines()) == 1


def test_depth_without_its_topic_is_a_wrong_command_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["replay", str(BAG), "-p", "use_depth:=true"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith("name the depth topic of the bag with --depth\n")


def test_bags_that_are_none(tmp_path, tiny_model, capsys):
    (tmp_path / "text.txt").write_text("no bag")
    (tmp_path / "empty").mkdir()
    model = ["-p", f"model:={tiny_model}", "--out", str(tmp_path / "out")]
    for name, words in (
        ("nothing", "There is no bag at"),
        ("text.txt", "is no bag"),
        ("empty", "is no bag"),
    ):
        assert main(["replay", str(tmp_path / name), *model]) == 1
        assert words in capsys.readouterr().err
    assert main(["replay", str(BAG), "--out", str(tmp_path / "empty"), "-p", model[1]]) == 1
    assert "is there already" in capsys.readouterr().err


def test_without_ros_it_says_so(monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, "handmesh_ros.ros.node", None)
    assert main(["replay", str(BAG)]) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and "Traceback" not in error

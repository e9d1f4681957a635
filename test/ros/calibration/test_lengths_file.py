import multiprocessing

import pytest

pytest.importorskip("yaml", reason="needs PyYAML, which every ROS 2 has")

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import LEFT, RIGHT
from handmesh_ros.ros.calibration.lengths_file import (
    check_writable,
    default_path,
    read_lengths,
    store_length,
)


def test_lengths_are_kept_side_by_side(tmp_path):
    path = tmp_path / "new" / "lengths.yaml"
    assert read_lengths(path) == {}
    store_length(path, RIGHT, 0.19)
    store_length(path, LEFT, 0.185)
    store_length(path, RIGHT, 0.191)
    assert read_lengths(path) == {"left": 0.185, "right": 0.191}
    assert [file.name for file in path.parent.iterdir()] == ["lengths.yaml"]


def test_the_default_path_follows_ros_home(monkeypatch, tmp_path):
    monkeypatch.setenv("ROS_HOME", str(tmp_path))
    assert tmp_path in default_path().parents


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("left: [", "cannot be read .* mend the file"),
        ("- 3", "does not hold hand lengths"),
        ("foot: 0.2", "does not hold hand lengths"),
        ("left: long", "left hand .* is 'long': give 0.08 to 0.3 m"),
        ("left: 19.0", "is 19.0: give"),
        ("left: .nan", "give"),
        ("left: true", "give"),
    ],
)
def test_a_damaged_file_is_one_sentence_and_is_kept_when_it_is_replaced(tmp_path, text, sentence):
    path = tmp_path / "lengths.yaml"
    path.write_text(text)
    with pytest.raises(HandmeshError, match=sentence):
        read_lengths(path)
    kept = store_length(path, LEFT, 0.18)
    assert read_lengths(path) == {"left": 0.18}
    assert kept is not None and kept.name == "lengths.yaml.damaged"
    assert kept.read_text() == text
    assert store_length(path, RIGHT, 0.19) is None


def test_a_file_damaged_twice_is_kept_twice(tmp_path):
    path = tmp_path / "lengths.yaml"
    for text in ("right: 0.19, left", "right: [0.19"):
        path.write_text(text)
        store_length(path, LEFT, 0.18)
    kept = {file.read_text() for file in tmp_path.glob("lengths.yaml.damaged*")}
    assert kept == {"right: 0.19, left", "right: [0.19"}


def test_an_empty_file_holds_nothing(tmp_path):
    path = tmp_path / "lengths.yaml"
    path.write_text("")
    assert read_lengths(path) == {}


def test_what_cannot_be_stored_is_one_sentence(tmp_path):
    with pytest.raises(HandmeshError, match="is 19.0: give"):
        store_length(tmp_path / "lengths.yaml", LEFT, 19.0)
    (tmp_path / "file").write_text("")
    with pytest.raises(HandmeshError, match="cannot be stored .* set calibration_file"):
        store_length(tmp_path / "file" / "lengths.yaml", LEFT, 0.19)


def test_a_place_for_lengths_is_checked_without_making_it(tmp_path):
    new = tmp_path / "new" / "lengths.yaml"
    check_writable(new)
    assert not new.parent.exists()
    store_length(new, LEFT, 0.18)
    check_writable(new)


def test_a_place_that_cannot_be_written_is_said_before_it_is_needed(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "lengths.yaml"):
        with pytest.raises(HandmeshError, match="calibrate_hand would fail: set calibration_file"):
            check_writable(path)


def _store_many(path, side, barrier):
    for number in range(20):
        barrier.wait()
        store_length(path / f"{number}.yaml", side, 0.15 + 0.01 * side)


def test_two_who_store_at_once_lose_nothing(tmp_path):
    folder = tmp_path / "lengths"
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    writers = [
        context.Process(target=_store_many, args=(folder, side, barrier)) for side in (0, 1)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60.0)
    assert [writer.exitcode for writer in writers] == [0, 0]
    for number in range(20):
        assert read_lengths(folder / f"{number}.yaml") == {"left": 0.15, "right": 0.16}
    assert len(list(folder.iterdir())) == 20, "a lock or a part of a file stays"

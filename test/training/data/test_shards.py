import io
import tarfile

import numpy as np
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.data.sample import Sample
from handmesh_ros.training.data.shards import (
    ARRAYS,
    NumberedShards,
    ShardDataset,
    ShardWriter,
    encode,
)


def make_sample(key="a", hands=2, with_mask=True):
    rng = np.random.default_rng(hands)
    shapes = {
        "intrinsics": (4,),
        "is_right": (hands,),
        "keypoints_2d": (hands, 21, 2),
        "keypoints_visible": (hands, 21),
        "box": (hands, 4),
        "visible_fraction": (hands,),
        "has_3d": (hands,),
        "joints": (hands, 21, 3),
        "rotations": (hands, 16, 3, 3),
        "shape": (hands, 10),
        "translation": (hands, 3),
        "colors": (hands, 778, 3),
        "hand_intrinsics": (hands, 4),
        "mask_value": (hands,),
    }
    arrays = {name: rng.random(shape).astype(np.float32) for name, shape in shapes.items()}
    rows = np.arange(48, dtype=np.uint8)[:, None, None] * np.array([4, 2, 1], np.uint8)
    image = np.broadcast_to(rows, (48, 64, 3)).copy()
    mask = rng.choice(np.array([0, 1, 2, 255], np.uint8), (48, 64)) if with_mask else None
    return Sample(image=image, mask=mask, source="test", key=key, **arrays)


def write(folder, samples, **options):
    with ShardWriter(folder, **options) as writer:
        for sample in samples:
            writer.write(sample)
    return sorted(folder.glob("*"))


def test_samples_come_back(tmp_path):
    samples = [make_sample("a", 2), make_sample("b", 0, with_mask=False)]
    write(tmp_path, samples)
    read = ShardDataset(tmp_path)
    assert len(read) == 2
    for original, stored in zip(samples, (read[0], read[1]), strict=True):
        assert stored.key == original.key
        assert np.abs(stored.image.astype(int) - original.image).mean() < 2
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(stored, name), getattr(original, name))
    np.testing.assert_array_equal(read[0].mask, samples[0].mask)
    assert read[1].mask is None


def test_shards_are_split_complete_and_equal_for_equal_samples(tmp_path):
    samples = [make_sample(str(i)) for i in range(5)]
    first = write(tmp_path / "one", samples, name="x", samples_per_shard=2)
    second = write(tmp_path / "two", samples, name="x", samples_per_shard=2)
    assert [path.name for path in first] == ["x-000000.tar", "x-000001.tar", "x-000002.tar"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert [sample.key for sample in ShardDataset([*first])] == list("01234")


def test_members_are_named_as_webdataset_expects(tmp_path):
    (path,) = write(tmp_path, [make_sample("k")])
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["k.jpg", "k.mask.png", "k.npz"]


def test_a_shard_in_progress_is_not_seen_and_a_failed_one_is_removed(tmp_path):
    with pytest.raises(RuntimeError), ShardWriter(tmp_path) as writer:
        writer.write(make_sample())
        assert not list(tmp_path.glob("*.tar"))
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_shard_grows_by_samples_that_follow_its_own(tmp_path):
    samples = [make_sample(str(i)) for i in range(3)]
    write(tmp_path / "grown", samples[:2])
    (grown,) = write(tmp_path / "grown", samples)
    (whole,) = write(tmp_path / "whole", samples)
    assert grown.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("others", [["0"], ["0", "x"]], ids=["fewer", "other"])
def test_a_shard_of_other_samples_is_not_replaced(tmp_path, others):
    (path,) = write(tmp_path, [make_sample("0"), make_sample("1")])
    before = path.read_bytes()
    with pytest.raises(HandmeshError, match=r"shard-000000\.tar is there already"):
        write(tmp_path, map(make_sample, others))
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == before


def test_shards_of_a_longer_run_do_not_stay_behind_a_shorter_one(tmp_path):
    samples = [make_sample(str(i)) for i in range(4)]
    write(tmp_path, samples, samples_per_shard=2)
    with (
        pytest.raises(HandmeshError, match=r"shard-000001\.tar is there already"),
        ShardWriter(tmp_path, samples_per_shard=2) as writer,
    ):
        for sample in samples[:2]:
            writer.write(sample)
        writer.finish()
    assert len(ShardDataset(tmp_path)) == 4


def write_numbered(folder, numbers, hands=1):
    """Write numbered samples, two in a shard; return the numbers that were made."""
    made = []

    def make(number):
        made.append(number)
        return encode(make_sample(str(number), hands))

    shards = NumberedShards(folder, "n", numbers, make, samples_per_shard=2)
    *_, last = shards.write(map(make, shards.missing))
    assert last == len(numbers) == len(ShardDataset(folder))
    return made


def test_numbered_shards_that_are_there_are_kept(tmp_path):
    write_numbered(tmp_path, range(3, 8))
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert write_numbered(tmp_path, range(3, 8)) == [3, 5, 7], "one of each to compare"
    (tmp_path / "n-000000.tar").unlink()
    damaged = tmp_path / "n-000001.tar"
    damaged.write_bytes(damaged.read_bytes()[:700])
    assert write_numbered(tmp_path, range(3, 8)) == [7, 3, 4, 5, 6]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_more_numbered_samples_are_added_to_those_there(tmp_path):
    write_numbered(tmp_path / "grown", range(3))
    assert write_numbered(tmp_path / "grown", range(5)) == [0, 2, 2, 3, 4]
    write_numbered(tmp_path / "whole", range(5))
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / "grown" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("numbers", "hands"), [(range(3), 1), (range(2), 1), (range(4), 2)])
def test_numbered_shards_of_another_run_are_not_replaced(tmp_path, numbers, hands):
    write_numbered(tmp_path, range(4))
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(HandmeshError, match="is there already and holds other or more"):
        write_numbered(tmp_path, numbers, hands)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_no_shards_is_one_sentence(tmp_path):
    with pytest.raises(HandmeshError, match="no training shards"):
        ShardDataset(tmp_path)
    with pytest.raises(HandmeshError, match="no training shards"):
        ShardDataset(tmp_path / "missing.tar")


@pytest.mark.parametrize("kept", [700, 0.5, 0.9])
def test_a_truncated_shard_is_refused(tmp_path, kept):
    (path,) = write(tmp_path, [make_sample(str(i)) for i in range(3)])
    data = path.read_bytes()
    path.write_bytes(data[: kept if kept > 1 else int(len(data) * kept)])
    with pytest.raises(HandmeshError, match="damaged or incomplete"):
        ShardDataset(tmp_path)


def test_a_file_that_is_no_tar_is_refused(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(HandmeshError, match="damaged or incomplete"):
        ShardDataset(tmp_path)


def rewritten(tmp_path, change):
    members = [item for item in (change(*m) for m in encode(make_sample("k"))) if item]
    with ShardWriter(tmp_path) as writer:
        writer.write_members(members)
    return tmp_path


def test_a_missing_member_is_named(tmp_path):
    rewritten(tmp_path, lambda name, data: None if name.endswith("npz") else (name, data))
    with pytest.raises(HandmeshError, match=r"sample k .* lacks its \.npz"):
        ShardDataset(tmp_path)


def test_a_missing_array_is_named(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.zeros(1) for name in ARRAYS if name != "joints"})
    rewritten(
        tmp_path,
        lambda name, data: (name, buffer.getvalue() if name.endswith("npz") else data),
    )
    with pytest.raises(HandmeshError, match=r"sample k .* lacks the arrays joints"):
        ShardDataset(tmp_path)[0]


def test_arrays_stored_by_columns_come_back(tmp_path):
    sample = make_sample()
    joints = np.asfortranarray(sample.joints)
    write(tmp_path, [sample.replace(joints=joints)])
    np.testing.assert_array_equal(ShardDataset(tmp_path)[0].joints, joints)


@pytest.mark.parametrize("suffix", ["jpg", "mask.png", "npz"])
def test_a_damaged_member_is_named(tmp_path, suffix):
    rewritten(
        tmp_path, lambda name, data: (name, b"x" * 50) if name.endswith(suffix) else (name, data)
    )
    with pytest.raises(HandmeshError, match=r"sample k .* damaged"):
        ShardDataset(tmp_path)[0]

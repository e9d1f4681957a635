"""Training samples on disk: WebDataset-style tar shards, written once and read at random."""

from __future__ import annotations

import functools
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.data.sample import LABEL_FIELDS, Sample, mask_values, shared_intrinsics

ARRAYS = ("intrinsics", *LABEL_FIELDS, "source")
"""Fields of `Sample` that a shard's .npz members hold, in this order."""

JPEG_QUALITY = 93

Members = list[tuple[str, bytes]]
"""Names and contents of one sample's files."""


def encode(sample: Sample) -> Members:
    """Return the sample's members as names and contents, in the order they are stored."""
    image = cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR)
    parameters = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    members = [(f"{sample.key}.jpg", _encode_image(".jpg", image, parameters))]
    if sample.mask is not None:
        members.append((f"{sample.key}.mask.png", _encode_image(".png", sample.mask, [])))
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: getattr(sample, name) for name in ARRAYS}
    np.savez(buffer, allow_pickle=False, **arrays)
    members.append((f"{sample.key}.npz", buffer.getvalue()))
    return members


def _encode_image(suffix: str, image: np.ndarray, parameters: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, image, parameters)
    if not done:
        raise HandmeshError(f"An image of shape {image.shape} cannot be encoded as {suffix}.")
    return data.tobytes()


class ShardWriter:
    """Writes samples into `NAME-000000.tar`, `NAME-000001.tar`, …

    A shard appears under its name only when it is complete, so that readers may start while
    others are still being written. Members carry no time or owner: equal samples give equal files.
    A shard that is there already is replaced only by one that starts with all of its samples, or
    where it is damaged.

    Args:
        folder: made where it does not exist.
        name: first part of the file names.
        samples_per_shard: greatest number of samples in one file.
        first_shard: number of the first file.
    """

    def __init__(
        self,
        folder: Path,
        name: str = "shard",
        samples_per_shard: int = 1000,
        first_shard: int = 0,
    ) -> None:
        self.folder, self.name = Path(folder), name
        self.samples_per_shard = samples_per_shard
        self._number, self._count = first_shard, 0
        self._archive: tarfile.TarFile | None = None
        self._earlier: Iterator[tuple[str, bytes]] = iter(())
        self.folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            if self._archive is not None:
                self._archive.close()
                self._partial.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return _shard_path(self.folder, self.name, self._number)

    @property
    def _partial(self) -> Path:
        return self._path.with_suffix(".tar.partial")

    def write(self, sample: Sample) -> None:
        """Append one sample under its key; see `write_members`."""
        self.write_members(encode(sample))

    def write_members(self, members: Members) -> None:
        """Append one sample that was encoded elsewhere.

        Raises:
            HandmeshError: the shard is there already, with another sample in this place.
        """
        if self._archive is None:
            self._earlier = chain.from_iterable(map(_read_members, _entries(self._path)))
            self._archive = tarfile.open(self._partial, "w", format=tarfile.USTAR_FORMAT)
        for name, data in members:
            if next(self._earlier, (name, data)) != (name, data):
                raise _holds_others(self._path)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            self._archive.addfile(info, io.BytesIO(data))
        self._count += 1
        if self._count == self.samples_per_shard:
            self.close()

    def close(self) -> None:
        """Complete the shard in progress, if there is one.

        Raises:
            HandmeshError: the shard is there already, with more samples.
        """
        if self._archive is None:
            return
        if next(self._earlier, None) is not None:
            raise _holds_others(self._path)
        self._archive.close()
        self._archive = None
        self._partial.replace(self._path)
        self._number, self._count = self._number + 1, 0

    def finish(self) -> None:
        """Complete the last shard of the name.

        Raises:
            HandmeshError: an earlier run wrote more samples, so that its last ones would stay.
        """
        self.close()
        if self._path.exists():
            raise _holds_others(self._path)


class NumberedShards:
    """Shards of samples that follow from their numbers: those there already are not made again.

    Of a shard that is there, one sample is made to see whether it belongs to the same run.

    Args:
        folder: made where it does not exist.
        name: first part of the file names.
        numbers: of the samples, in order.
        make: returns the sample of a number, the same each time.
        samples_per_shard: greatest number of samples in one file.

    Attributes:
        missing: numbers of the samples that are to be made, in order.

    Raises:
        HandmeshError: a shard of that name is there and holds other or more samples.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        numbers: range,
        make: Callable[[int], Members],
        samples_per_shard: int = 1000,
    ) -> None:
        self._folder, self._name = folder, name
        self._count, self._samples_per_shard = len(numbers), samples_per_shard
        parts = [
            numbers[first : first + samples_per_shard]
            for first in range(0, len(numbers), samples_per_shard)
        ]
        beyond = sorted(folder.glob(f"{name}-*.tar"))[-1:]
        if beyond and beyond[0] > _shard_path(folder, name, len(parts) - 1):
            raise _holds_others(beyond[0])
        self._parts = [
            (shard, part)
            for shard, part in enumerate(parts)
            if not _is_complete(_shard_path(folder, name, shard), part, make)
        ]
        self.missing = [number for _, part in self._parts for number in part]

    def write(self, samples: Iterable[Members]) -> Iterator[int]:
        """Write the missing samples.

        Args:
            samples: of `missing`.

        Yields:
            How many samples there are: first those there already, then after each one.

        Raises:
            HandmeshError: a shard is there already, with other samples.
        """
        done, stream = self._count - len(self.missing), iter(samples)
        yield done
        for shard, part in self._parts:
            with ShardWriter(self._folder, self._name, self._samples_per_shard, shard) as writer:
                for members in islice(stream, len(part)):
                    writer.write_members(members)
                    done += 1
                    yield done


def _is_complete(path: Path, numbers: range, make: Callable[[int], Members]) -> bool:
    """Return whether a shard of these samples is there; fewer of them are not."""
    entries = _entries(path)
    if len(entries) > len(numbers) or (entries and _read_members(entries[0]) != make(numbers[0])):
        raise _holds_others(path)
    return len(entries) == len(numbers)


def _shard_path(folder: Path, name: str, number: int) -> Path:
    return folder / f"{name}-{number:06d}.tar"


def _holds_others(path: Path) -> HandmeshError:
    return HandmeshError(
        f"{path} is there already and holds other or more samples than this run would write: give "
        "another folder, or delete it."
    )


@dataclass(frozen=True)
class _Entry:
    """Where one sample's members lie: file, then suffix to (offset, size)."""

    path: Path
    key: str
    members: dict[str, tuple[int, int]]


class ShardDataset:
    """Random access to the samples of tar shards; indexing gives a `Sample`.

    Usable as a map-style torch data set: it holds no open files and can be sent to workers.

    Args:
        source: a folder of .tar files, one such file, or a list of both.

    Raises:
        HandmeshError: nothing is there, a file is damaged, or a sample lacks its image or arrays.
    """

    def __init__(self, source: Path | str | Sequence[Path | str]) -> None:
        sources = [source] if isinstance(source, (str, Path)) else list(source)
        self._entries: list[_Entry] = []
        for path in (p for item in sources for p in shard_files(Path(item))):
            self._entries += _scan(path)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Sample:
        entry = self._entries[index]
        with open(entry.path, "rb") as file:

            def read(suffix: str) -> bytes:
                offset, size = entry.members[suffix]
                file.seek(offset)
                return file.read(size)

            image = self._decode(entry, read("jpg"), cv2.IMREAD_COLOR)
            mask = None
            if "mask.png" in entry.members:
                mask = self._decode(entry, read("mask.png"), cv2.IMREAD_UNCHANGED)
            arrays = _read_arrays(entry, read("npz"))
        return Sample(
            image=cv2.cvtColor(image, cv2.COLOR_BGR2RGB),
            mask=mask,
            hand_intrinsics=shared_intrinsics(arrays["intrinsics"], len(arrays["is_right"])),
            mask_value=mask_values(len(arrays["is_right"])),
            key=entry.key,
            **arrays,
        )

    @staticmethod
    def _decode(entry: _Entry, data: bytes, how: int) -> np.ndarray:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), how)
        if image is None:
            raise HandmeshError(
                f"An image of the sample {entry.key} in {entry.path} is damaged: write the shard "
                "again."
            )
        return image


def shard_files(path: Path) -> list[Path]:
    """Return the .tar files of a folder, sorted, or the one file that `path` is.

    Raises:
        HandmeshError: there is none.
    """
    files = sorted(path.glob("*.tar")) if path.is_dir() else [path]
    if not files or not path.exists():
        raise HandmeshError(
            f"There are no training shards in {path}: give a folder with .tar files, as "
            "`handmesh synthesize` writes them."
        )
    return files


def _scan(path: Path) -> list[_Entry]:
    """Return the samples of one file, in the order of their keys' first members."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    size = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as archive:
            for info in archive:
                if not info.isfile():
                    continue
                if info.offset_data + info.size > size:
                    raise tarfile.ReadError("unexpected end of data")
                key, _, suffix = info.name.rpartition("/")[2].partition(".")
                found.setdefault(key, {})[suffix] = (info.offset_data, info.size)
    except tarfile.TarError as error:
        raise HandmeshError(
            f"The shard {path} is damaged or incomplete ({error}): write or copy it again."
        ) from error
    for key, members in found.items():
        missing = [suffix for suffix in ("jpg", "npz") if suffix not in members]
        if missing:
            raise HandmeshError(
                f"The sample {key} in the shard {path} lacks its .{missing[0]} member: write the "
                "shard again."
            )
    return [_Entry(path, key, members) for key, members in found.items()]


def _entries(path: Path) -> list[_Entry]:
    """Return the samples of a file; none where it is not there or damaged."""
    try:
        return _scan(path) if path.exists() else []
    except HandmeshError:
        return []


def _read_members(entry: _Entry) -> Members:
    """Return the members of a sample as they are stored."""
    members = []
    with open(entry.path, "rb") as file:
        for suffix, (offset, size) in entry.members.items():
            file.seek(offset)
            members.append((f"{entry.key}.{suffix}", file.read(size)))
    return members


def _read_arrays(entry: _Entry, data: bytes) -> dict[str, Any]:
    """Return the fields of `ARRAYS`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            present = set(archive.namelist())
            names = [name for name in ARRAYS if f"{name}.npy" in present]
            arrays: dict[str, Any] = {n: _read_array(archive.read(f"{n}.npy")) for n in names}
    except Exception as error:
        raise HandmeshError(
            f"The arrays of the sample {entry.key} in {entry.path} are damaged ({error}): write "
            "the shard again."
        ) from error
    missing = [name for name in ARRAYS if name not in arrays]
    if missing:
        raise HandmeshError(
            f"The sample {entry.key} in {entry.path} lacks the arrays {', '.join(missing)}: write "
            "the shard again."
        )
    arrays["source"] = str(arrays["source"])
    return arrays


def _read_array(data: bytes) -> np.ndarray:
    """Return the array of a .npy file of version 1, as `np.load` would in three times the time."""
    start = 10 + int.from_bytes(data[8:10], "little")
    shape, is_fortran, kind = _layout(data[:start])
    values = np.frombuffer(data, kind, offset=start)
    return values.reshape(shape, order="F" if is_fortran else "C").copy()


@functools.lru_cache(maxsize=1024)
def _layout(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, whether columns come first, and type: slow to parse, and mostly the same."""
    file = io.BytesIO(header)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("not a .npy file of version 1")
    return np.lib.format.read_array_header_1_0(file)

"""The published data sets that can be read, by the name that the command line uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.data.readers.coco_wholebody import CocoWholeBody
from handmesh_ros.training.data.readers.freihand import FreiHand
from handmesh_ros.training.data.readers.ho3d import Ho3d
from handmesh_ros.training.data.readers.interhand import InterHand
from handmesh_ros.training.data.readers.rhd import Rhd
from handmesh_ros.training.data.sample import Sample


class PublishedSet(Protocol):
    """One split of a data set; indexing raises `HandmeshError` for a sample that is unusable."""

    has_labels: bool

    def __len__(self) -> int:
        """Return how many samples there are."""
        ...

    def __getitem__(self, index: int, /) -> Sample:
        """Return one sample; hands with 3D joints have `has_3d` 0 until they are fitted."""
        ...


@dataclass(frozen=True)
class Reader:
    """How a data set is opened.

    Attributes:
        open: called with the folder, the split and whether labels are needed.
        splits: for training first; the last one is for evaluation.
        has_joints: whether its hands have 3D joints.
    """

    open: Callable[[Path, str, bool], PublishedSet]
    splits: tuple[str, ...]
    has_joints: bool = True


READERS = {
    "freihand": Reader(FreiHand, FreiHand.splits),
    "ho3d": Reader(Ho3d, Ho3d.splits),
    "interhand": Reader(InterHand, InterHand.splits),
    "rhd": Reader(Rhd, Rhd.splits),
    "coco-wholebody": Reader(CocoWholeBody, CocoWholeBody.splits, has_joints=False),
}


def open_published(
    name: str, folder: Path, split: str | None = None, *, need_labels: bool = True
) -> PublishedSet:
    """Open one split of a published data set.

    Args:
        name: a key of `READERS`.
        folder: that it was unpacked into.
        split: as the data set calls it; None for the one for training.
        need_labels: False where images suffice (HO-3D and FreiHAND published their evaluation
            labels late).

    Raises:
        HandmeshError: no such folder or split, or a file is missing or damaged.
    """
    reader = READERS[name]
    split = reader.splits[0] if split is None else split
    if split not in reader.splits:
        raise HandmeshError(
            f"The data set {name} has no split '{split}'; take {', '.join(reader.splits)}."
        )
    if not folder.is_dir():
        raise HandmeshError(f"{folder} is no folder; give the one that {name} was unpacked into.")
    return reader.open(folder, split, need_labels)

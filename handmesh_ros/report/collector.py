"""`ReportCollector`: images with their hands in, the data of the report page out."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from handmesh_ros import __version__
from handmesh_ros.hand.conventions import RIGHT, SKELETON
from handmesh_ros.hand.hands import Hands
from handmesh_ros.media.sources import Source
from handmesh_ros.report.figures import Judged, Tally, judge
from handmesh_ros.report.page import Kept, as_script
from handmesh_ros.report.pictures import (
    encode_picture,
    in_base64,
    pack_hands,
    pack_truth,
)
from handmesh_ros.report.summary import charts_of, tables_of, tiles_of
from handmesh_ros.report.truth import Truth
from handmesh_ros.training.evaluation.metrics import TrueHands
from handmesh_ros.visualization.outputs import Found

PICTURES = 1000
"""Images that a page shows, unless another number is given."""

_PAGE_BYTES = 85_000_000
"""Of all pictures, in base64: with meshes and script the page stays below 100 MB."""

_LARGEST_PICTURE = 400_000
_NOTHING_FOUND = 1.0


@dataclass(frozen=True)
class Comparison:
    """Another method that looks at the same images.

    Attributes:
        name: as it is shown.
        find: takes an image and its intrinsics; returns hands and milliseconds.
    """

    name: str
    find: Callable[[np.ndarray, np.ndarray], tuple[Hands, float]]


class ReportCollector:
    """Collects what the page shows; see `Output`.

    Only the worst images are kept with their pictures, so that a page of any number of images
    stays as large as `pictures` allow; all count in the figures.

    Args:
        expected: about how many images there will be; more pictures are smaller ones.
        pictures: most images to show.
        truth: labels to compare with.
        comparison: another method.
    """

    def __init__(
        self,
        expected: int,
        pictures: int = PICTURES,
        truth: Truth | None = None,
        comparison: Comparison | None = None,
    ) -> None:
        self._truth, self._comparison = truth, comparison
        self._most = pictures
        shown = max(1, min(expected, pictures))
        self._budget = min(_LARGEST_PICTURE, _PAGE_BYTES * 3 // 4 // shown)
        self._longest_side = 1280 if shown <= 150 else 960 if shown <= 400 else 720
        self._kept: list[tuple[float, int, Kept]] = []
        self._rows: list[dict[str, Any]] = []
        self._sources: dict[str, int] = {}
        self._faces = ""
        self.own, self.other = Tally("handmesh"), Tally(comparison.name if comparison else "")

    @property
    def images(self) -> int:
        """How many images were added."""
        return len(self._rows)

    @contextlib.contextmanager
    def writing(self, source: Source) -> Iterator[None]:
        """Take the images of a source."""
        self._source = _group(source)
        self._sources.setdefault(self._source, len(self._sources))
        yield

    def add(self, found: Found) -> None:
        """Count an image, and keep its picture if it is among the worst."""
        image, hands = found.frame.image, found.hands
        height, width = image.shape[:2]
        truth = self._truth.of(found.source, width, height) if self._truth else None
        judged = judge(hands, truth) if truth else None
        if truth is not None and judged is not None:
            self.own.add(hands, truth, judged, self._source)
        row = self._row(found, judged, truth)
        other = self._compare(found, truth, row)
        badness = _badness(hands, judged, other)
        row["bad"] = round(badness, 4)
        number = len(self._rows)
        self._rows.append(row)
        if len(self._kept) >= self._most and badness <= self._kept[0][0]:
            return
        if not self._faces:
            faces = found.template.faces_for(RIGHT, closed=True)
            self._faces = in_base64(faces.astype("<u2").tobytes())
        details: dict[str, Any] = {"hands": pack_hands(hands)}
        if truth is not None:
            details["truth"] = pack_truth(truth)
        if other is not None:
            details["other"] = [
                packed | {"side": int(side), "score": round(float(score), 3)}
                for packed, side, score in zip(
                    pack_hands(other), other.handedness, other.score, strict=True
                )
            ]
        picture = in_base64(encode_picture(image, self._budget, self._longest_side))
        # Of equally bad images the earlier one stays.
        entry = (badness, -number, Kept(number, picture, as_script(details)))
        if len(self._kept) < self._most:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heapreplace(self._kept, entry)

    def kept(self) -> list[Kept]:
        """Return the images to show, the worst first."""
        return [kept for _, _, kept in sorted(self._kept, reverse=True)]

    def data(self, title: str, facts: dict[str, str]) -> dict[str, Any]:
        """Return the data of the page.

        Args:
            title: of the page.
            facts: what the page says of the run, by name.
        """
        tallies = [self.own] if self._comparison is None else [self.own, self.other]
        for kept in self._kept:
            self._rows[kept[2].number]["shown"] = 1
        return {
            "title": title,
            "created": datetime.now().astimezone().isoformat(timespec="minutes"),
            "version": __version__,
            "facts": facts,
            "methods": [tally.name for tally in tallies],
            "hasTruth": self._truth is not None,
            "tiles": tiles_of(self._rows, tallies),
            "charts": charts_of(self._rows, tallies),
            "tables": tables_of(self._rows, tallies, list(self._sources)),
            "sources": list(self._sources),
            "images": self._rows,
            "faces": self._faces,
            "bones": SKELETON,
        }

    def _compare(self, found: Found, truth: TrueHands | None, row: dict[str, Any]) -> Hands | None:
        if self._comparison is None:
            return None
        other, milliseconds = self._comparison.find(found.frame.image, found.intrinsics)
        row["otherMs"] = round(milliseconds, 1)
        if truth is not None:
            self.other.add(other, truth, judge(other, truth), self._source)
        return other

    def _row(self, found: Found, judged: Judged | None, truth: TrueHands | None) -> dict[str, Any]:
        """Return what is known of an image without its picture."""
        height, width = found.frame.image.shape[:2]
        row: dict[str, Any] = {
            "name": str(found.source.name),
            "s": self._sources[self._source],
            "w": width,
            "h": height,
            "ms": round(found.latency_ms, 1),
            "K": found.intrinsics.astype(float).round(2).tolist(),
            "hands": [self._hand_row(found, judged, index) for index in range(len(found.hands))],
        }
        if found.frame.time_s is not None:
            row |= {"f": found.frame.index, "t": round(found.frame.time_s, 3)}
        if judged is not None and truth is not None:
            row |= {
                "missed": np.flatnonzero(judged.missed).tolist(),
                "false": judged.false_finds,
                "true": int((~truth.ignored).sum()),
            }
        return row

    @staticmethod
    def _hand_row(found: Found, judged: Judged | None, index: int) -> dict[str, Any]:
        hand = found.hands[index]
        row: dict[str, Any] = {
            "side": int(hand.handedness[0]),
            "p": round(float(hand.handedness_score[0]), 3),
            "score": round(float(hand.score[0]), 3),
            "box": hand.box[0].astype(float).round(1).tolist(),
            "z": round(float(hand.joints[0, 0, 2]), 3),
            "refined": int(hand.refined[0]),
        }
        if found.track_id[index]:
            row["id"] = int(found.track_id[index])
        if judged is not None:
            row["true"] = int(judged.true_hand[index])
            if judged.true_hand[index] >= 0:
                row["sideOk"] = int(judged.side_is_right[index])
                if np.isfinite(judged.error[index]):
                    row["err"] = round(float(judged.error[index]), 4)
        return row


def _group(source: Source) -> str:
    """Return what images of a source are grouped by: a video, or a folder of photographs."""
    if source.is_video:
        return source.name.as_posix()
    parent = source.name.parent.as_posix()
    return parent if parent != "." else source.path.absolute().parent.name or "/"


def _badness(hands: Hands, judged: Judged | None, other: Hands | None) -> float:
    """Return how much an image is worth a look, whatever is known of it."""
    if judged is not None:
        return 10.0 + judged.badness()
    doubt = _NOTHING_FOUND if not len(hands) else 1.0 - float(hands.score.min())
    if other is None:
        return doubt
    return doubt + abs(len(hands) - len(other))


def default_title(paths: list[str]) -> str:
    """Return the title of a page about these inputs."""
    names = [Path(path).name or path for path in paths]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return f"Hands in {', '.join(names[:2])}{more}"

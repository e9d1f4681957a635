"""One segment: decoded, tracked, and written as Parquet under its final name or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handmesh_ros.annotate.plan import MARGIN_S, Segment
from handmesh_ros.common.files import part_of, write_whole
from handmesh_ros.common.imports import needed_for
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import State
from handmesh_ros.inference.effort import Effort
from handmesh_ros.inference.opening import HandFinder, Models, open_finder
from handmesh_ros.inference.preprocess import intrinsics_from_fov
from handmesh_ros.media.sources import quiet_decoders
from handmesh_ros.media.videos import MediaFrame, read_video
from handmesh_ros.tracking.tracker import TrackedHands
from handmesh_ros.tracking.video import VideoTracker

if TYPE_CHECKING:
    import pyarrow

GROUP_FRAMES = 256
"""Frames whose rows are written together: memory does not grow with the length of a segment."""


@dataclass(frozen=True)
class Settings:
    """What all workers share.

    Attributes:
        output: folder of the run.
        models: networks, as for `open_finder`.
        backend: of all.
        intrinsics: (fx, fy, cx, cy) pixels; None takes `fov_deg`.
        fov_deg: field of view across the longer side of the image.
        mesh: write vertices and colours, too.
        threads: CPU threads of a worker.
    """

    output: Path
    models: Models
    backend: str
    intrinsics: tuple[float, ...] | None
    fov_deg: float
    mesh: bool
    threads: int

    def part(self, segment: Segment) -> Path:
        """Return the file of a segment."""
        return self.output / "segments" / f"{segment.name}.parquet"

    def note(self, segment: Segment) -> Path:
        """Return the file that says that a segment is complete, and what was wrong with it."""
        return self.output / "segments" / f"{segment.name}.json"


class Worker:
    """Annotates segments one after another.

    Args:
        settings: of the run.

    Raises:
        HandmeshError: a model or the backend cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        quiet_decoders()
        self._settings = settings
        self._finder: HandFinder = open_finder(
            settings.models, settings.backend, effort=Effort.FAST, threads=settings.threads
        )

    def annotate(self, segment: Segment) -> dict[str, Any]:
        """Write the rows of a segment; return its note.

        The note has `frames` and `hands` of the segment without its margin and `error`, a sentence
        or "". What a video gives before it breaks off is kept.

        Raises:
            HandmeshError: the output cannot be written.
        """
        with needed_for("`handmesh annotate`", ".[table]"):
            import pyarrow
            import pyarrow.parquet
        path, note = self._settings.part(segment), {"frames": 0, "hands": 0, "error": ""}
        partial, writer, tables = part_of(path), None, []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                for is_counted, table in self._rows(segment):
                    note["frames"] += is_counted  # type: ignore[operator]
                    note["hands"] += len(table) if is_counted else 0  # type: ignore[operator]
                    tables += [table] if len(table) else []
                    if len(tables) == GROUP_FRAMES:
                        writer = _append(pyarrow, writer, partial, tables)
            except HandmeshError as problem:
                note["error"] = str(problem)
            if tables:
                writer = _append(pyarrow, writer, partial, tables)
            if writer is not None:
                writer.close()
                partial.replace(path)
            write_whole(self._settings.note(segment), json.dumps(note).encode())
        except OSError as error:
            raise HandmeshError(
                f"Cannot write {path} ({error.strerror or error}): make room, then run the same "
                "command again; what is complete is kept."
            ) from error
        finally:
            if writer is not None and writer.is_open:
                writer.close()
            partial.unlink(missing_ok=True)
        return note

    def _rows(self, segment: Segment) -> Iterator[tuple[bool, pyarrow.Table]]:
        """Yield of each frame, those of the margins too, whether it counts, and its rows."""
        tracker = VideoTracker(self._finder)
        for frame in read_video(segment.video):
            assert frame.time_s is not None
            if frame.time_s >= segment.end_s + MARGIN_S:
                return
            if frame.time_s < segment.begin_s - MARGIN_S:
                continue
            height, width = frame.image.shape[:2]
            camera = self._camera(height, width)
            tracked = tracker.update(frame.image, camera, frame.time_s)
            table = self._table(segment, frame, camera, tracked)
            yield segment.begin_s <= frame.time_s < segment.end_s, table

    def _camera(self, height: int, width: int) -> np.ndarray:
        if self._settings.intrinsics is None:
            return intrinsics_from_fov(height, width, self._settings.fov_deg)
        return np.asarray(self._settings.intrinsics, np.float64)

    def _table(
        self, segment: Segment, frame: MediaFrame, camera: np.ndarray, tracked: TrackedHands
    ) -> pyarrow.Table:
        kept = np.flatnonzero(tracked.state != State.LOST)
        height, width = frame.image.shape[:2]
        return tracked.hands[kept].to_table(
            with_mesh=self._settings.mesh,
            path=str(segment.video),
            width=width,
            height=height,
            frame=frame.index,
            time_s=frame.time_s,
            intrinsics=camera,
            track_id=tracked.track_id[kept],
            state=[State(value).name.lower() for value in tracked.state[kept]],
            age_s=tracked.age_s[kept],
        )


def _append(pyarrow: Any, writer: Any, path: Path, tables: list[Any]) -> Any:
    """Write tables as one row group, and forget them; return the writer, which is made first."""
    joined = pyarrow.concat_tables(tables)
    tables.clear()
    if writer is None:
        writer = pyarrow.parquet.ParquetWriter(path, joined.schema, compression="zstd")
    writer.write_table(joined)
    return writer


_worker: Worker | None = None


def start_worker(settings: Settings) -> None:
    """Make the worker of this process."""
    global _worker
    _worker = Worker(settings)


def annotate_here(segment: Segment) -> tuple[Segment, dict[str, Any]]:
    """Annotate a segment in this process."""
    assert _worker is not None
    return segment, _worker.annotate(segment)

"""A run over many videos: what is complete stays, and the same command goes on."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handmesh_ros.annotate.joining import join_video
from handmesh_ros.annotate.plan import Segment, segments_of
from handmesh_ros.annotate.worker import Settings, Worker, annotate_here, start_worker
from handmesh_ros.common.child_processes import spawn_executor
from handmesh_ros.common.files import parse_json, part_of, write_whole
from handmesh_ros.common.imports import needed_for
from handmesh_ros.errors import HandmeshError

LOG_PERIOD_S = 30.0


@dataclass
class Summary:
    """What a run has come to.

    Attributes:
        videos: with a table of hands, or none in them.
        frames: annotated, those of earlier runs included.
        hands: rows written.
        errors: (file, sentence) of what could not be used, or not to its end.
    """

    videos: int
    frames: int
    hands: int
    errors: list[tuple[str, str]]


def annotate(videos: list[Path], settings: Settings, *, segment_s: float, workers: int) -> Summary:
    """Write `hands/KEY.parquet` for each video and `errors.parquet` for what was wrong.

    Args:
        videos: files.
        settings: of all workers.
        segment_s: length of the segments, seconds.
        workers: processes.

    Raises:
        HandmeshError: the output belongs to a run with other settings or cannot be written, a
            model cannot be used, or a worker was killed.
    """
    _check_settings(settings, segment_s)
    errors: list[tuple[str, str]] = []
    plan: dict[Path, list[Segment]] = {}
    for video in videos:
        try:
            plan[video] = segments_of(video, segment_s)
        except HandmeshError as problem:
            errors.append((str(video), str(problem)))
    pending = [
        segment
        for segments in plan.values()
        for segment in segments
        if not settings.note(segment).exists()
    ]
    progress = _Progress(len(pending))
    for note in _work(pending, settings, workers):
        progress.advance(note)
    progress.close()
    summary = Summary(0, 0, 0, errors)
    for video, segments in plan.items():
        _join(video, segments, settings, summary)
    _write_errors(settings.output / "errors.parquet", summary.errors)
    return summary


def _work(pending: list[Segment], settings: Settings, workers: int) -> Iterator[dict[str, Any]]:
    if not pending:
        return
    if workers == 1:
        worker = Worker(settings)
        for segment in pending:
            yield worker.annotate(segment)
        return
    executor = spawn_executor(min(workers, len(pending)), start_worker, (settings,))
    try:
        waiting: set[Future[tuple[Segment, dict[str, Any]]]] = set()
        rest = iter(pending)
        while True:
            while len(waiting) < 2 * workers and (new := next(rest, None)) is not None:
                waiting.add(executor.submit(annotate_here, new))
            if not waiting:
                break
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()[1]
    except BrokenProcessPool as error:
        Worker(settings)  # If it is a model that cannot be used, this says so.
        raise HandmeshError(
            "A worker process ended before its time (killed, or out of memory): run the same "
            "command again, with fewer --workers if it was memory; what is complete is kept."
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _join(video: Path, segments: list[Segment], settings: Settings, summary: Summary) -> None:
    notes = [parse_json(settings.note(segment).read_bytes()) for segment in segments]
    target = settings.output / "hands" / f"{segments[0].key}.parquet"
    if not target.exists():
        join_video(segments, [settings.part(segment) for segment in segments], target)
    summary.videos += 1
    summary.frames += sum(note["frames"] for note in notes)
    summary.hands += sum(note["hands"] for note in notes)
    sentences = dict.fromkeys(note["error"] for note in notes if note["error"])
    summary.errors += [(str(video), sentence) for sentence in sentences]


def _check_settings(settings: Settings, segment_s: float) -> None:
    """Begin a run in the output folder, or go on with the one that is there."""
    value = {**vars(settings), "models": settings.models.files(), "segment_s": segment_s}
    value = {name: str(value[name]) for name in sorted(value) if name not in ("output", "threads")}
    digest = hashlib.sha256(json.dumps(value).encode()).hexdigest()
    place = settings.output / "run.json"
    try:
        if place.exists():
            if parse_json(place.read_bytes()).get("digest") != digest:
                raise HandmeshError(
                    f"{settings.output} holds a run with other settings: give the same ones to go "
                    "on, or another --output."
                )
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": "handmesh-annotate", "digest": digest, "settings": value})
        write_whole(place, text.encode())
    except OSError as error:
        raise HandmeshError(
            f"Cannot write {settings.output} ({error.strerror}): give another place."
        ) from error
    except ValueError as error:
        raise HandmeshError(
            f"{place} is damaged ({error}): delete it, or give another place."
        ) from error


def _write_errors(path: Path, errors: list[tuple[str, str]]) -> None:
    with needed_for("`handmesh annotate`", ".[table]"):
        import pyarrow
        import pyarrow.parquet
    paths, sentences = ([error[column] for error in errors] for column in (0, 1))
    text = pyarrow.string()
    arrays = [pyarrow.array(paths, text), pyarrow.array(sentences, text)]
    partial = part_of(path)
    pyarrow.parquet.write_table(pyarrow.table(arrays, names=["path", "error"]), partial)
    partial.replace(path)


class _Progress:
    """A line that rewrites itself on a terminal; elsewhere one every 30 seconds."""

    def __init__(self, segments: int) -> None:
        self._segments, self._done, self._frames, self._hands, self._errors = segments, 0, 0, 0, 0
        self._start_s = self._shown_s = time.monotonic()
        self._is_terminal = sys.stderr.isatty()

    def advance(self, note: dict[str, Any]) -> None:
        self._done += 1
        self._frames += note["frames"]
        self._hands += note["hands"]
        self._errors += bool(note["error"])
        now_s = time.monotonic()
        if now_s - self._shown_s >= (0.5 if self._is_terminal else LOG_PERIOD_S):
            self._shown_s = now_s
            took_s = now_s - self._start_s
            left_s = took_s / self._done * (self._segments - self._done)
            rate_hz = self._frames / took_s
            text = f"{self._done} of {self._segments} segments, {rate_hz:.1f} frames/s, "
            text += f"{self._hands} hands, {self._errors} errors, {left_s / 60:.0f} min left"
            head, end = ("\r\033[K", "") if self._is_terminal else ("", "\n")
            print(head + text, end=end, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

"""`handmesh detect`: hands in photos, folders and videos, without ROS."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from handmesh_ros.cli.arguments import (
    add_backend,
    add_effort,
    add_models,
    chosen_models,
    open_chosen,
)
from handmesh_ros.cli.results import DrawingWriter, JsonWriter, frame_entry
from handmesh_ros.common.arguments import checked, count, number
from handmesh_ros.common.imports import needed_for
from handmesh_ros.common.output_paths import Originals
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import SIDES
from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.backends.shared import SharedBackends
from handmesh_ros.inference.effort import Effort
from handmesh_ros.inference.models import files_of
from handmesh_ros.inference.preprocess import (
    ASSUMED_FOV_DEG,
    check_intrinsics,
    intrinsics_from_fov,
)
from handmesh_ros.inference.refining import RefiningEstimator
from handmesh_ros.media.photos import MAX_PIXELS
from handmesh_ros.media.sources import (
    Source,
    find_sources,
    quiet_decoders,
    read_frames,
)
from handmesh_ros.media.videos import MediaFrame
from handmesh_ros.visualization.draw import draw_hands
from handmesh_ros.visualization.outputs import Found, Output, TrackIds

PHOTO_EFFORT, VIDEO_EFFORT = Effort.BEST, Effort.FAST
"""Default effort: high for photographs, that of the node for videos."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `handmesh detect`."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="photo, video, or folder of them")
    parser.add_argument("--json", metavar="FILE", help="write the hands as JSON; - prints them")
    parser.add_argument("--draw", metavar="DIR", help="write images and videos with hands drawn")
    parser.add_argument(
        "--texture", action="store_true", help="draw meshes alone, in the skin's colours found"
    )
    parser.add_argument("--mesh", action="store_true", help="put the vertices into the JSON")
    parser.add_argument(
        "--glb", metavar="DIR", help="write the meshes as GLB (glTF), those of videos animated"
    )
    parser.add_argument(
        "--rerun", metavar="FILE", help="write a Rerun recording (.rrd); live opens the viewer"
    )
    add_detection_arguments(parser)


def add_detection_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what says how hands are found: the camera, the models, the effort."""
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument(
        "--intrinsics",
        type=checked(parse_intrinsics),
        metavar="FX,FY,CX,CY",
        help="of the camera, in pixels of the upright image",
    )
    camera.add_argument(
        "--fov",
        type=checked(parse_fov),
        default=ASSUMED_FOV_DEG,
        metavar="DEG",
        help="field of view across the longer image side (%(default)g degrees)",
    )
    parser.add_argument(
        "--threshold",
        type=number(0, 1),
        metavar="SCORE",
        help="score above which a find is a hand (the model's)",
    )
    parser.add_argument(
        "--max-pixels",
        type=count(),
        default=MAX_PIXELS,
        metavar="N",
        help="larger images are refused (%(default)s)",
    )
    add_models(parser)
    add_effort(parser, f"{PHOTO_EFFORT.value} for photographs, {VIDEO_EFFORT.value} for videos")
    add_backend(parser)


def run(args: argparse.Namespace) -> int:
    """Run `handmesh detect`; 1 if some file could not be used, else 0.

    Raises:
        argparse.ArgumentError: options that do not go together.
        HandmeshError: the model or a place to write to cannot be used.
    """
    if args.texture and args.draw is None:
        raise argparse.ArgumentError(None, "--texture is for drawings: give --draw DIR, too")
    if args.mesh and args.json is None:
        raise argparse.ArgumentError(None, "--mesh is for the JSON: give --json FILE, too")
    quiet_decoders()
    inputs = [Input.find(Path(path)) for path in args.paths]
    originals = originals_of(args, inputs)
    if args.json not in (None, "-"):
        originals.check(Path(args.json))
    drawings = None if args.draw is None else DrawingWriter(Path(args.draw), originals)
    with contextlib.ExitStack() as stack:
        outputs = _open_outputs(args, originals, stack)
        estimators = open_estimators(args, inputs)
        detection = Detection.of(args, estimators, drawings=drawings, outputs=outputs)
        if args.json is not None:
            detection.writer = stack.enter_context(_json_writer(args, estimators))
        detection.run(inputs)
    return 1 if detection.failures else 0


def parse_intrinsics(text: str) -> np.ndarray:
    """Parse "fx,fy,cx,cy" into (4,) float64.

    Raises:
        HandmeshError: not four usable numbers.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise HandmeshError(
            f"The intrinsics {text!r} are not four numbers: write --intrinsics fx,fy,cx,cy in "
            f"pixels, without spaces."
        ) from error
    return check_intrinsics(numbers)


def parse_fov(text: str) -> float:
    """Parse a field of view, degrees.

    Raises:
        HandmeshError: not a number between 0 and 180.
    """
    try:
        fov_deg = float(text)
    except ValueError as error:
        raise HandmeshError(f"The field of view {text!r} is not a number of degrees.") from error
    intrinsics_from_fov(1, 1, fov_deg)
    return fov_deg


def _effort_for(args: argparse.Namespace, *, is_video: bool) -> Effort:
    """Return how much is done for a photograph, or for every image of a video."""
    if args.effort:
        return Effort(args.effort)
    usual = VIDEO_EFFORT if is_video else PHOTO_EFFORT
    greatest = chosen_models(args).greatest_effort(refine=not args.no_refine)
    return usual if usual.is_within(greatest) else greatest


def open_estimators(
    args: argparse.Namespace, inputs: list[Input]
) -> dict[Effort, RefiningEstimator]:
    """Load the models for every effort that the files need; no graph is loaded twice.

    Raises:
        HandmeshError: a model or the backend cannot be used.
    """
    kinds = {source.is_video for one in inputs for source in one.sources} or {False}
    efforts = {_effort_for(args, is_video=is_video) for is_video in kinds}
    opener = SharedBackends().open
    return {
        effort: open_chosen(args, effort, score_threshold=args.threshold, opener=opener)
        for effort in sorted(efforts, key=list(Effort).index)
    }


def originals_of(args: argparse.Namespace, inputs: list[Input]) -> Originals:
    """Return the files that nothing may be written over: images and models."""
    sources = (source.path for one in inputs for source in one.sources)
    return Originals([*sources, *files_of(chosen_models(args).files())])


def _open_outputs(
    args: argparse.Namespace, originals: Originals, stack: contextlib.ExitStack
) -> list[Output]:
    """Return what writes the files for viewers; `stack` closes it.

    Raises:
        HandmeshError: a package is missing, or a place cannot be written to.
    """
    outputs: list[Output] = []
    if args.glb is not None:
        with needed_for("--glb"):
            from handmesh_ros.visualization.gltf import GlbWriter
        outputs.append(GlbWriter(Path(args.glb), originals))
    if args.rerun is not None:
        with needed_for("--rerun"):
            from handmesh_ros.visualization.rerun_log import RerunWriter
        outputs.append(stack.enter_context(RerunWriter(args.rerun, originals)))
    return outputs


def _json_writer(
    args: argparse.Namespace, estimators: dict[Effort, RefiningEstimator]
) -> JsonWriter:
    estimator = list(estimators.values())[-1]  # that with most models
    model = {
        "model_id": estimator.model_id,
        "effort": " + ".join(effort.value for effort in estimators),
        "hand_model": estimator.backend.sidecar.hand_model.name,
        "score_threshold": estimator.score_threshold,
    }
    return JsonWriter(args.json, model, estimator.template.closed_faces if args.mesh else None)


@dataclass(frozen=True)
class Input:
    """What the user named: the files there, and what could not be read."""

    sources: list[Source]
    problems: list[tuple[Path, HandmeshError]]

    @classmethod
    def find(cls, path: Path) -> Input:
        """Look for files at a path; one without any is a problem, not an exception."""
        problems: list[tuple[Path, HandmeshError]] = []
        try:
            sources = find_sources(path, lambda *problem: problems.append(problem))
        except HandmeshError as error:
            return cls([], problems or [(path, error)])
        return cls(sources, problems)


@dataclass
class Detection:
    """One run over many files, and what it has seen so far."""

    estimators: dict[Effort, RefiningEstimator]
    effort_for: Callable[[bool], Effort]
    camera: Callable[[int, int], np.ndarray]
    report: TextIO
    drawings: DrawingWriter | None = None
    outputs: Sequence[Output] = ()
    with_mesh: bool = False
    texture: bool = False
    max_pixels: int = MAX_PIXELS
    writer: JsonWriter | None = None
    frames: int = 0
    hands: int = 0
    estimator_ms: float = 0.0
    failures: int = 0
    reported: set[str] = field(default_factory=set)
    track_ids: TrackIds = field(default_factory=TrackIds)

    @classmethod
    def of(
        cls,
        args: argparse.Namespace,
        estimators: dict[Effort, RefiningEstimator],
        **options: Any,
    ) -> Detection:
        """Return a run as the options of `add_detection_arguments` say.

        Args:
            args: parsed; of other commands than `detect` without its outputs.
            estimators: of `open_estimators`.
            options: more attributes.
        """
        return cls(
            estimators=estimators,
            effort_for=lambda is_video: _effort_for(args, is_video=is_video),
            camera=lambda height, width: (
                intrinsics_from_fov(height, width, args.fov)
                if args.intrinsics is None
                else args.intrinsics
            ),
            report=sys.stderr if getattr(args, "json", None) == "-" else sys.stdout,
            with_mesh=getattr(args, "mesh", False),
            texture=getattr(args, "texture", False),
            max_pixels=args.max_pixels,
            **options,
        )

    def run(self, inputs: list[Input]) -> None:
        """Work through files and folders; one that cannot be used does not stop the others."""
        for one in inputs:
            for path, problem in one.problems:
                self._fail(path, problem)
            for source in one.sources:
                try:
                    print(self._detect(source), file=self.report, flush=True)
                except HandmeshError as error:
                    self._fail(source.path, error)
        if self.outputs and self.frames and not self.hands:
            images = f"{self.frames} image{'s' * (self.frames != 1)}"
            print(
                f"handmesh: No hand was found in {images}, so there is no mesh to look at: try a "
                "lower --threshold or --effort best.",
                file=sys.stderr,
            )
        if self.frames > 1:
            estimator = list(self.estimators.values())[-1]
            print(
                f"{self.frames} images, {self.hands} hands, "
                f"{self.estimator_ms / self.frames:.0f} ms per image with "
                f"{estimator.model_id} on {estimator.backend.name}",
                file=self.report,
            )

    def _detect(self, source: Source) -> str:
        """Find the hands of one file, write them, and return a line that says what was found."""
        frames_before, hands_before = self.frames, self.hands
        hands = Hands.empty()
        with contextlib.ExitStack() as stack:
            if self.drawings is not None:
                stack.enter_context(self.drawings.drawing(source))
            for output in self.outputs:
                stack.enter_context(output.writing(source))
            self.track_ids = TrackIds()
            for frame in read_frames(source, self.max_pixels):
                hands = self._detect_frame(source, frame)
        if source.is_video:
            return (
                f"{source.path}: {self.frames - frames_before} frames, "
                f"{self.hands - hands_before} hands"
            )
        names = ", ".join(
            f"{SIDES[side]} {score:.2f}"
            for side, score in zip(hands.handedness, hands.score, strict=True)
        )
        count = f"{len(hands)} hand{'s' * (len(hands) != 1)}"
        return f"{source.path}: {count}{f' ({names})' if names else ''}"

    def _detect_frame(self, source: Source, frame: MediaFrame) -> Hands:
        intrinsics = self.camera(*frame.image.shape[:2])
        estimator = self.estimators[self.effort_for(source.is_video)]
        hands = estimator.detect(frame.image, intrinsics)
        self._complain(estimator.problem)
        self.frames += 1
        self.hands += len(hands)
        self.estimator_ms += estimator.timings.total_ms
        if self.writer is not None:
            self.writer.add(
                frame_entry(source.path, frame, hands, intrinsics, with_mesh=self.with_mesh)
            )
        if self.drawings is not None:
            faces = estimator.template.closed_faces
            drawn = draw_hands(
                frame.image,
                hands,
                faces=faces,
                intrinsics=intrinsics,
                skeleton=not self.texture,
                labels=not self.texture,
                mesh_opacity=1.0 if self.texture else 0.75,
                texture=self.texture,
            )
            self.drawings.add(drawn, frame.time_s)
        if self.outputs:
            found = Found(
                source,
                frame,
                hands,
                self.track_ids.update(hands, frame),
                intrinsics,
                estimator.template,
                estimator.timings.total_ms,
            )
            for output in self.outputs:
                output.add(found)
        return hands

    def _complain(self, problem: str) -> None:
        """Say once each why hands were not refined."""
        if problem and problem not in self.reported:
            self.reported.add(problem)
            print(f"handmesh: hands are not refined: {problem}", file=sys.stderr, flush=True)

    def _fail(self, path: Path, error: HandmeshError) -> None:
        self.failures += 1
        if self.writer is not None:
            self.writer.add_error(path, str(error))
        print(f"handmesh: {error}", file=sys.stderr, flush=True)

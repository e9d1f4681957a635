"""Recordings for the Rerun viewer (rerun.io): images, meshes, skeletons and plots over time.

| entity | what |
|---|---|
| `/` | the camera's optical frame: x right, y down, z forward, metres |
| `/camera`, `/camera/image` | pinhole and image |
| `/camera/image/hands/NAME` | keypoints and box, pixels |
| `/hands/NAME/mesh`, `/hands/NAME/skeleton` | in metres; the label has side, score and track id |
| `/plots/latency`, `/plots/hands` | milliseconds, number of hands |
| `/plots/score/NAME` | of each hand |
| `/log` | a line for each image |

NAME is `id_7` for the hand with the track id 7 of a clip, `hand_0` for the best of a photograph.
Timelines: `image` counts all images, `video_time` is the time in a clip.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import rerun as rr
import rerun.blueprint as rrb

from handmesh_ros.common.files import part_of
from handmesh_ros.common.output_paths import Originals, cannot_write, check_place
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import SIDES, SKELETON, WRIST
from handmesh_ros.media.sources import Source
from handmesh_ros.visualization.draw import FINGER_COLORS, SIDE_COLORS
from handmesh_ros.visualization.meshes import vertex_normals
from handmesh_ros.visualization.outputs import Found

LIVE = "live"
"""Instead of a file: the viewer, which is started."""

_APPLICATION = "handmesh"
_PATIENCE_S = 15.0
_QUALITY = 90
_BONE_COLORS = [FINGER_COLORS[bone // 4] for bone in range(len(SKELETON))]
_POINT_COLORS = [(255, 255, 255), *(FINGER_COLORS[point // 4] for point in range(20))]


class RerunWriter:
    """Writes one recording of all images; see `Output`. Use as a context manager.

    Leaving it on an exception leaves no file, and an older one untouched.

    Args:
        target: a file that ends in .rrd, or `LIVE`.
        originals: files that are not overwritten.

    Raises:
        HandmeshError: the file cannot be written, or the viewer not be started.
    """

    def __init__(self, target: str, originals: Originals) -> None:
        self._target = None if target == LIVE else Path(target)
        self._images = 0
        self._shown: set[str] = set()
        self._stream = rr.RecordingStream(_APPLICATION)
        if self._target is None:
            self._start_viewer()
        else:
            if self._target.suffix != ".rrd":
                raise HandmeshError(
                    f"--rerun {target} is no recording: give a file that ends in .rrd, or {LIVE}."
                )
            originals.check(self._target)
            check_place(self._target)
            self._stream.save(part_of(self._target), default_blueprint=blueprint())
        self._stream.log("/", rr.ViewCoordinates.RDF, static=True)
        self._stream.log(
            "/plots/latency",
            rr.SeriesLines(names="latency, ms", colors=[90, 150, 250]),
            static=True,
        )
        self._stream.log(
            "/plots/hands", rr.SeriesLines(names="hands", colors=[150, 150, 150]), static=True
        )

    def __enter__(self) -> RerunWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        lost: Exception | None = None
        try:
            self._stream.flush()
        except RuntimeError as problem:  # The viewer was closed, or the disk is full.
            lost = problem
        self._stream.disconnect()
        if self._target is None:
            return
        partial = part_of(self._target)
        try:
            if lost is not None:
                raise OSError(0, str(lost))
            if kind is None:
                partial.replace(self._target)
        except OSError as problem:
            raise cannot_write(self._target, problem) from problem
        finally:
            partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def writing(self, source: Source) -> Iterator[None]:
        """Take the images of a source."""
        yield

    def add(self, found: Found) -> None:
        """Log an image and its hands."""
        self._set_time(found)
        self._log_camera(found)
        names = [self._name(found, index) for index in range(len(found.hands))]
        for name in self._shown - set(names):
            self._stream.log(f"/hands/{name}", rr.Clear(recursive=True))
            self._stream.log(f"/camera/image/hands/{name}", rr.Clear(recursive=True))
        for index, name in enumerate(names):
            self._log_hand(found, index, name)
        self._shown = set(names)
        self._stream.log("/plots/latency", rr.Scalars(found.latency_ms))
        self._stream.log("/plots/hands", rr.Scalars(len(names)))
        count = f"{len(names)} hand{'s' * (len(names) != 1)}"
        self._stream.log("/log", rr.TextLog(f"{found.source.path.name}: {count}"))

    def _set_time(self, found: Found) -> None:
        self._stream.reset_time()
        self._stream.set_time("image", sequence=self._images)
        self._images += 1
        if found.frame.time_s is not None:
            self._stream.set_time("video_time", duration=found.frame.time_s)

    @staticmethod
    def _name(found: Found, index: int) -> str:
        track_id = int(found.track_id[index])
        return f"id_{track_id}" if track_id else f"hand_{index}"

    def _log_camera(self, found: Found) -> None:
        height, width = found.frame.image.shape[:2]
        fx, fy, cx, cy = (float(value) for value in found.intrinsics)
        distances = found.hands.translation[:, 2]
        pinhole = rr.Pinhole(
            focal_length=[fx, fy],
            principal_point=[cx + 0.5, cy + 0.5],  # There the top-left pixel's corner is (0, 0).
            width=width,
            height=height,
            image_plane_distance=float(np.max(distances, initial=0.4)) * 1.3,  # behind the hands
        )
        bgr = cv2.cvtColor(found.frame.image, cv2.COLOR_RGB2BGR)
        jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        self._stream.log("/camera", pinhole)
        self._stream.log(
            "/camera/image", rr.EncodedImage(contents=jpeg.tobytes(), media_type="image/jpeg")
        )

    def _log_hand(self, found: Found, index: int, name: str) -> None:
        hand = found.hands[index]
        side, score = int(hand.handedness[0]), float(hand.score[0])
        label = f"{SIDES[side]} {score:.2f}"
        if track_id := int(found.track_id[index]):
            label += f" #{track_id}"
        vertices = hand.vertices[0]
        faces = found.template.faces_for(side, closed=True)
        colors = np.rint(255 * hand.colors[0].clip(0, 1)).astype(np.uint8)
        self._stream.log(
            f"/hands/{name}/mesh",
            rr.Mesh3D(
                vertex_positions=vertices,
                triangle_indices=faces,
                vertex_normals=vertex_normals(vertices, faces),
                vertex_colors=colors,
            ),
        )
        joints = hand.joints[0]
        bones = [joints[list(bone)] for bone in SKELETON]
        self._stream.log(
            f"/hands/{name}/skeleton",
            rr.LineStrips3D(bones, colors=_BONE_COLORS, radii=0.0015),
            rr.Points3D(joints, colors=_POINT_COLORS, radii=0.003),
        )
        self._stream.log(
            f"/hands/{name}/label",
            rr.Points3D(joints[[WRIST]], labels=[label], show_labels=True, radii=0.001),
        )
        keypoints = hand.keypoints_2d[0] + 0.5
        x0, y0, x1, y1 = (hand.box[0] + 0.5).tolist()
        self._stream.log(
            f"/camera/image/hands/{name}/skeleton",
            rr.LineStrips2D([keypoints[list(bone)] for bone in SKELETON], colors=_BONE_COLORS),
        )
        self._stream.log(
            f"/camera/image/hands/{name}/box",
            rr.Boxes2D(
                array=[[x0, y0, x1, y1]],
                array_format=rr.Box2DFormat.XYXY,
                labels=[label],
                colors=[SIDE_COLORS[side]],
            ),
        )
        self._stream.log(f"/plots/score/{name}", rr.Scalars(score))

    def _start_viewer(self) -> None:
        has_screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if sys.platform.startswith("linux") and not has_screen:
            raise _no_viewer("there is no screen: neither DISPLAY nor WAYLAND_DISPLAY is set")
        try:
            self._stream.spawn(default_blueprint=blueprint())
            self._stream.flush(timeout_sec=_PATIENCE_S)
        except Exception as error:  # It raises whatever its parts do.
            raise _no_viewer(str(error)) from error


def _no_viewer(reason: str) -> HandmeshError:
    return HandmeshError(
        f"The Rerun viewer does not start ({reason}): write a file with --rerun FILE.rrd and open "
        "it where there is a screen."
    )


def blueprint() -> rrb.Blueprint:
    """Return how the viewer shows a recording: 3D beside the image, plots and lines below."""
    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Spatial3DView(name="Hands in 3D", origin="/"),
            rrb.Vertical(
                rrb.Spatial2DView(name="Image", origin="/camera/image"),
                rrb.TimeSeriesView(name="Latency and hands", origin="/plots", contents=_PLOTS),
                rrb.TimeSeriesView(name="Scores", origin="/plots/score"),
                row_shares=[4, 2, 2],
            ),
            column_shares=[3, 2],
        ),
        collapse_panels=True,
    )


_PLOTS = ["/plots/latency", "/plots/hands"]

"""GLB files (glTF 2.0) of hands: a photograph's hands, or a clip's as an animation.

Lengths are metres. Positions are stored in the camera's optical frame (x right, y down, z
forward), exactly as in `Hands.vertices`; the node `camera_optical_frame` turns them into glTF's
frame (y up, the camera looks along -z), and the node `camera` is the camera that took the image.

A clip holds one mesh node for each hand of each frame. It is shown from its frame to the next by
a scale that steps from 0 to 1, which glTF 2.0 names as the way to animate visibility: the file
grows with the number of frames, where one morph target a frame would make it grow with the square.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gl

from handmesh_ros import __version__
from handmesh_ros.common.files import write_whole
from handmesh_ros.common.output_paths import Originals, OutputFolder, cannot_write
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import KEYPOINT_NAMES, SIDES
from handmesh_ros.hand.hands import ScaleSource
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.media.sources import Source
from handmesh_ros.visualization.meshes import linear_from_srgb, vertex_normals
from handmesh_ros.visualization.outputs import Found

_HALF_TURN_ABOUT_X = [1.0, 0.0, 0.0, 0.0]
"""Quaternion x, y, z, w: the optical frame to glTF's."""

_SHOWN, _HIDDEN = [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]
_LARGEST_BYTES = 2**32 - 2**24
"""GLB counts its bytes in 32 bits."""

_LAST_FRAME_S = 1.0 / 30.0
"""How long a clip's last frame is shown where it has no other."""


class GlbWriter:
    """Writes one GLB for each photograph and each video; see `Output`.

    Args:
        folder: made where it does not exist.
        originals: files that are not overwritten.

    Raises:
        HandmeshError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, originals: Originals) -> None:
        self._folder = OutputFolder(folder, originals)
        self._scene = HandScene("")

    @contextlib.contextmanager
    def writing(self, source: Source) -> Iterator[None]:
        """Write the GLB of a source when all of its images were added.

        Of a video that is damaged the frames up to there are written, of a source without hands
        nothing; an interrupted run leaves no file.

        Raises:
            HandmeshError: it cannot be written.
        """
        self._target = self._folder.choose(source.name, ".glb")
        self._scene = HandScene(source.path.name)
        try:
            yield
        except HandmeshError:
            self._write()
            raise
        self._write()

    def add(self, found: Found) -> None:
        """Add an image of the source.

        Raises:
            HandmeshError: the file would be larger than a GLB can be.
        """
        self._scene.add(found)

    def _write(self) -> None:
        if not self._scene.hands:
            return
        content = self._scene.glb()
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._target, content, sync=False)
        except OSError as error:
            raise cannot_write(self._target, error) from error


class HandScene:
    """The glTF scene of one photograph or video; `add` its images, then `glb`.

    Args:
        name: of the source, kept in the file.

    Attributes:
        hands: how many there are, over all frames.
    """

    def __init__(self, name: str) -> None:
        self.hands = 0
        self._has_camera = False
        self._root = gl.Node(name="camera_optical_frame", rotation=_HALF_TURN_ABOUT_X, children=[])
        self._gltf = gl.GLTF2(
            asset=gl.Asset(
                version="2.0",
                generator=f"handmesh_ros {__version__}",
                extras={
                    "source": name,
                    "units": "metres",
                    "positions": "camera optical frame: x right, y down, z forward",
                },
            ),
            scene=0,
            scenes=[gl.Scene(name=name or None, nodes=[0])],
            nodes=[self._root],
            materials=[_matte()],
        )
        self._parts: list[bytes] = []
        self._bytes = 0
        self._faces: dict[int, int] = {}
        self._tracks: dict[int, tuple[gl.Node, int]] = {}
        self._shown: list[tuple[int, int]] = []
        self._times: list[float] = []

    def add(self, found: Found) -> None:
        """Add the hands of one image.

        Raises:
            HandmeshError: the file would be larger than a GLB can be.
        """
        if not self._has_camera:
            self._add_camera(found)
            self._has_camera = True
        self.hands += len(found.hands)
        is_clip = found.frame.time_s is not None
        if is_clip:
            self._times.append(float(found.frame.time_s or 0.0))
        for index in range(len(found.hands)):
            if is_clip:
                self._add_frame_of_hand(found, index)
            else:
                self._add_hand(found, index)

    def glb(self) -> bytes:
        """Return the file's content; there must be hands, as glTF allows no empty buffer."""
        if self._shown:
            self._animate()
        self._gltf.buffers = [gl.Buffer(byteLength=self._bytes)]
        self._gltf.set_binary_blob(b"".join(self._parts))
        return b"".join(self._gltf.save_to_bytes())

    def _add_camera(self, found: Found) -> None:
        height, width = found.frame.image.shape[:2]
        fx, fy = (float(value) for value in found.intrinsics[:2])
        perspective = gl.Perspective(
            yfov=2.0 * math.atan(height / (2.0 * fy)),
            aspectRatio=width * fy / (height * fx),
            znear=0.01,
        )
        self._gltf.cameras = [gl.Camera(type="perspective", perspective=perspective)]
        self._gltf.nodes.append(gl.Node(name="camera", camera=0))
        self._gltf.scenes[0].nodes.append(len(self._gltf.nodes) - 1)

    def _add_hand(self, found: Found, index: int) -> None:
        """Add a photograph's hand: its mesh, and its keypoints as nodes without a mesh."""
        hand = found.hands[index]
        name = f"{SIDES[int(hand.handedness[0])]}_hand_{index}"
        mesh = self._mesh(found, index, name, self._colors(hand.colors[0]))
        node = gl.Node(name=name, mesh=mesh, children=[], extras=_facts(found, index))
        self._append(node, self._root)
        for keypoint, joint in zip(KEYPOINT_NAMES, hand.joints[0].tolist(), strict=True):
            self._append(gl.Node(name=f"{name}/{keypoint}", translation=joint), node)

    def _add_frame_of_hand(self, found: Found, index: int) -> None:
        hand, track_id = found.hands[index], int(found.track_id[index])
        # A hand without a track is a group of its own in every frame.
        key = track_id or -len(self._gltf.nodes)
        if key not in self._tracks:
            number = f"{track_id}" if track_id else f"untracked_{len(self._gltf.nodes)}"
            group = gl.Node(
                name=f"{SIDES[int(hand.handedness[0])]}_hand_{number}",
                children=[],
                extras={"track_id": track_id},
            )
            self._append(group, self._root)
            self._tracks[key] = group, self._colors(hand.colors[0])
        group, colors = self._tracks[key]
        name = f"{group.name}/frame_{found.frame.index}"
        node = gl.Node(
            name=name,
            mesh=self._mesh(found, index, name, colors),
            extras=_facts(found, index),
            scale=_SHOWN if len(self._times) == 1 else _HIDDEN,  # Without animation: the first.
        )
        self._append(node, group)
        self._shown.append((len(self._gltf.nodes) - 1, len(self._times) - 1))

    def _append(self, node: gl.Node, parent: gl.Node) -> None:
        self._gltf.nodes.append(node)
        parent.children.append(len(self._gltf.nodes) - 1)

    def _mesh(self, found: Found, index: int, name: str, colors: int) -> int:
        side = int(found.hands.handedness[index])
        vertices = found.hands.vertices[index].astype(np.float32)
        faces = found.template.faces_for(side, closed=True)
        attributes = gl.Attributes(
            POSITION=self._accessor(vertices, gl.ARRAY_BUFFER, bounds=True),
            NORMAL=self._accessor(vertex_normals(vertices, faces), gl.ARRAY_BUFFER),
            COLOR_0=colors,
        )
        primitive = gl.Primitive(
            attributes=attributes, indices=self._indices(found.template, side), material=0
        )
        self._gltf.meshes.append(gl.Mesh(name=name, primitives=[primitive]))
        return len(self._gltf.meshes) - 1

    def _indices(self, template: HandTemplate, side: int) -> int:
        if side not in self._faces:
            faces = template.faces_for(side, closed=True)
            kind = np.uint16 if template.vertex_count < 65535 else np.uint32
            indices = faces.astype(kind).ravel()
            self._faces[side] = self._accessor(indices, gl.ELEMENT_ARRAY_BUFFER)
        return self._faces[side]

    def _colors(self, colors: np.ndarray) -> int:
        """Return the accessor of sRGB vertex colours, (V, 3) in [0, 1]."""
        linear = np.rint(linear_from_srgb(colors) * 65535).astype(np.uint16)
        opaque = np.column_stack([linear, np.full(len(linear), 65535, np.uint16)])
        return self._accessor(opaque, gl.ARRAY_BUFFER, normalized=True)

    def _accessor(
        self,
        values: np.ndarray,
        target: int | None = None,
        *,
        bounds: bool = False,
        normalized: bool = False,
    ) -> int:
        """Store an array (N,) or (N, C) and return the number of its accessor."""
        values = np.ascontiguousarray(values)
        content = values.tobytes()
        content += bytes(-len(content) % 4)
        if self._bytes + len(content) > _LARGEST_BYTES:
            raise HandmeshError(
                f"The GLB of {self._gltf.asset.extras['source']} would be larger than the 4 GB "
                "that the format allows: cut the clip into shorter ones."
            )
        self._gltf.bufferViews.append(
            gl.BufferView(
                buffer=0, byteOffset=self._bytes, byteLength=values.nbytes, target=target
            )
        )
        self._parts.append(content)
        self._bytes += len(content)
        accessor = gl.Accessor(
            bufferView=len(self._gltf.bufferViews) - 1,
            componentType=_COMPONENT_TYPES[values.dtype.char],
            count=len(values),
            type="SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}",
            normalized=normalized or None,
        )
        if bounds:
            accessor.min = np.atleast_1d(values.min(axis=0)).tolist()
            accessor.max = np.atleast_1d(values.max(axis=0)).tolist()
        self._gltf.accessors.append(accessor)
        return len(self._gltf.accessors) - 1

    def _animate(self) -> None:
        """Show every mesh node from the time of its frame to that of the next."""
        times = _rising(np.array(self._times))
        animation = gl.Animation(name="clip")
        inputs: dict[int, int] = {}
        outputs: dict[tuple[float, ...], int] = {}
        for node, frame in self._shown:
            # The last frame stays, as a player's does. The first begins at 0, without a step.
            steps = (0.0, 1.0, float(frame == len(self._times) - 1))[0 if frame else 1 :]
            if steps not in outputs:
                scales = np.array(steps, np.float32).repeat(3).reshape(-1, 3)
                outputs[steps] = self._accessor(scales)
            if frame not in inputs:
                keys = np.array([0.0, times[frame], times[frame + 1]], np.float32)
                inputs[frame] = self._accessor(keys[-len(steps) :], bounds=True)
            animation.samplers.append(
                gl.AnimationSampler(
                    input=inputs[frame], output=outputs[steps], interpolation="STEP"
                )
            )
            animation.channels.append(
                gl.AnimationChannel(
                    sampler=len(animation.samplers) - 1,
                    target=gl.AnimationChannelTarget(node=node, path="scale"),
                )
            )
        self._gltf.animations = [animation]


_COMPONENT_TYPES = {"f": gl.FLOAT, "H": gl.UNSIGNED_SHORT, "I": gl.UNSIGNED_INT}


def _rising(times_s: np.ndarray) -> np.ndarray:
    """Return (F + 1,) float32 times from 0 on that rise strictly, with the end of the last frame.

    Times of a file may repeat, which keyframes must not.
    """
    steps = np.diff(times_s)
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else _LAST_FRAME_S
    rising = np.concatenate([[0.0], np.where(steps > 0, steps, 1e-3).cumsum()])
    return np.append(rising, rising[-1] + usual).astype(np.float32)


def _matte() -> gl.Material:
    return gl.Material(
        name="skin",
        pbrMetallicRoughness=gl.PbrMetallicRoughness(
            baseColorFactor=[1.0, 1.0, 1.0, 1.0], metallicFactor=0.0, roughnessFactor=1.0
        ),
        doubleSided=True,
        alphaMode=gl.OPAQUE,
        alphaCutoff=None,
    )


def _facts(found: Found, index: int) -> dict[str, Any]:
    """Return what is known of a hand beside its mesh, as `extras` of its node."""
    hand = found.hands[index]
    facts: dict[str, Any] = {
        "handedness": SIDES[int(hand.handedness[0])],
        "handedness_score": round(float(hand.handedness_score[0]), 4),
        "score": round(float(hand.score[0]), 4),
        "scale_source": ScaleSource(int(hand.scale_source[0])).name.lower(),
    }
    if found.frame.time_s is not None:
        facts |= {"frame": found.frame.index, "time_s": round(found.frame.time_s, 6)}
    return facts

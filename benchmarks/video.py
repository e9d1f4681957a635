"""Hands over time with the network in the loop: `python -m benchmarks.video`.

The scenes of `temporal.benchmark` are rendered, the models find and follow the hands as in the
node; MediaPipe Hands, which follows hands but gives them no identity, may see the
same images. Needs the extras [train] and [benchmark].
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.scenes import (
    CENTRE_PX,
    FOCAL_PX,
    NO_NOISE,
    SIZE_PX,
    SceneFrame,
    Stage,
    is_inside,
)
from benchmarks.tracking import FIRST_HELD_OUT_SEED, scenes, scores_of
from handmesh_ros.cli.arguments import add_backend, add_effort, add_models, open_chosen
from handmesh_ros.common.arguments import count
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands, State
from handmesh_ros.hand.size import hand_length
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.effort import Effort
from handmesh_ros.inference.following import FULL_DETECTION_EVERY
from handmesh_ros.inference.refining import RefiningEstimator
from handmesh_ros.tracking.video import VideoTracker
from handmesh_ros.training.data.sample import box_of_keypoints
from handmesh_ros.training.evaluation.mediapipe_baseline import MediaPipeBaseline
from handmesh_ros.training.evaluation.metrics import box_iou
from handmesh_ros.training.synthesis.arms import arm_towards
from handmesh_ros.training.synthesis.meshes import Mesh, box
from handmesh_ros.training.synthesis.renderer import Renderer
from handmesh_ros.training.synthesis.scene import SceneHand, SceneSampler, sample_lighting
from handmesh_ros.training.synthesis.surface import pose_hand

INTRINSICS = np.array([FOCAL_PX, FOCAL_PX, *CENTRE_PX])
ELBOW = np.array([0.12, 0.3, 0.35])
"""From a right wrist to where its arm points, metres: aside, down and away from the camera."""

SCREEN_SIZE, SCREEN_BEFORE = np.array([0.2, 0.2, 0.01]), 0.09
"""Of the board that hides a hand, and how far it stands before its middle, metres."""

CLOTH = np.array([0.10, 0.16, 0.22])
"""Linear RGB factor of the sleeves."""

GLOSS = 0.35
"""Of the skin."""

SHOWN_STEP = 45
"""Images of a scene from one to the next that `--pictures` keeps."""

Finder = Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]
"""Image (H, W, 3) and stamp to the ids (N,) and keypoints (N, 21, 2) of hands seen in it."""


class SceneRenderer:
    """Draws the frames of one scene: one person's skin, one light, one background.

    Args:
        seed: of all these.
        skins: folder of skin textures, or None for painted ones.
        backgrounds: folder of photographs without hands, or None for painted ones.

    Raises:
        HandmeshError: EGL is missing or a folder is unusable.
    """

    def __init__(self, seed: int, skins: Path | None, backgrounds: Path | None) -> None:
        width, height = map(int, SIZE_PX)
        render_model, folders = HandTemplate.bundled_render(), [backgrounds] if backgrounds else []
        self._sampler = SceneSampler(
            HandTemplate.bundled(), render_model, width, height, skins, folders
        )
        self._renderer = Renderer(width, height, self._sampler.textures)
        random = np.random.default_rng(seed)
        self._seed, self._skin = seed, self._sampler.skins.sample(random)
        self._light = sample_lighting(random)
        self._background = self._sampler.backgrounds.sample(random, width, height)
        shape = np.zeros(self._sampler.output_model.shape_dirs.shape[2])
        flat = pose_hand(
            self._sampler.output_model, np.tile(np.eye(3), (16, 1, 1)), shape, True, np.zeros(3)
        )
        self._shape = shape
        self._mean_length = float(
            hand_length(flat.keypoints(self._sampler.output_model.fingertips))
        )

    def render(self, frame: SceneFrame) -> np.ndarray:
        """Return the image, (480, 640, 3) uint8 RGB."""
        meshes: list[Mesh] = []
        for number, hand in enumerate(frame.truth, start=1):
            meshes += self._hand(hand, number)
            if frame.screened[number - 1]:
                meshes.append(self._screen(hand.joints[0].mean(0)))
        return self._renderer.draw(meshes, INTRINSICS, self._light, self._background).color

    def _hand(self, hand: Hands, number: int) -> list[Mesh]:
        model, wrist = self._sampler.output_model, hand.translation[0].astype(float)
        is_right, rotations = bool(hand.right_probability[0] > 0.5), hand.rotations[0]
        surface = pose_hand(model, rotations, self._shape, is_right, wrist)
        posed = SceneHand(
            is_right, rotations, self._shape, wrist, self._skin, surface,
            surface.keypoints(model.fingertips),
        )  # fmt: skip
        elbow = wrist + ELBOW * ([1, 1, 1] if is_right else [-1, 1, 1])
        arm = arm_towards(elbow, rotations[0], wrist, is_right)
        wrinkles, cloth = np.random.default_rng(self._seed), (self._sampler.first_material, CLOTH)
        meshes = self._sampler.hand_meshes(wrinkles, posed, number, arm, GLOSS, cloth)
        size = float(hand_length(hand.joints)[0]) / self._mean_length
        return [replace(mesh, vertices=wrist + size * (mesh.vertices - wrist)) for mesh in meshes]

    def _screen(self, middle: np.ndarray) -> Mesh:
        vertices, faces, uv = box(SCREEN_SIZE)
        place = middle * (1.0 - SCREEN_BEFORE / middle[2])
        grey = np.full((len(vertices), 3), 0.3)
        return Mesh(vertices + place, faces, grey, 0, uv, self._sampler.first_material)


class Followed:
    """Our own, as in the node with its defaults; hands that are seen only."""

    def __init__(self, estimator: RefiningEstimator, look_every: int) -> None:
        self._tracker = VideoTracker(estimator, look_every=look_every)

    def find(self, image: np.ndarray, stamp_s: float) -> tuple[np.ndarray, np.ndarray]:
        """See `Finder`."""
        tracked = self._tracker.update(image, INTRINSICS, stamp_s)
        shown = (tracked.state == State.TRACKED) & is_inside(tracked.hands)
        return tracked.track_id[shown], tracked.hands.keypoints_2d[shown]


class Named:
    """MediaPipe's: it gives no identity, so that the side and the rank within it stand for one."""

    def __init__(self, baseline: MediaPipeBaseline) -> None:
        self._baseline = baseline

    def find(self, image: np.ndarray, stamp_s: float) -> tuple[np.ndarray, np.ndarray]:
        """See `Finder`."""
        hands = self._baseline.detect(image)
        hands = hands[np.flatnonzero(is_inside(hands))]
        is_right = hands.right_probability > 0.5
        rank = np.where(is_right, np.cumsum(is_right), np.cumsum(~is_right))
        return 2 * rank + is_right, hands.keypoints_2d


def watch(frames: list[SceneFrame], images: list[np.ndarray], find: Finder) -> dict[str, float]:
    """Return the scores of one finder in one scene, as of `scores_of`.

    Hidden hands are neither true nor reported. Boxes of keypoints are the same hand from an IoU of
    0.5 on.
    """
    seen = []
    for frame, image in zip(frames, images, strict=True):
        visible = np.flatnonzero(~frame.hidden)
        ids, keypoints = find(image, frame.stamp_s)
        true_boxes = box_of_keypoints(frame.truth.keypoints_2d[visible])
        boxes = box_of_keypoints(keypoints) if len(ids) else np.zeros((0, 4), np.float32)
        seen.append((frame.identity[visible], ids, box_iou(true_boxes, boxes)))
    return scores_of(seen)


def main(arguments: list[str] | None = None) -> int:
    """Print a table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.video")
    add_models(parser)
    add_effort(parser, Effort.FAST.value)
    add_backend(parser)
    parser.add_argument(
        "--look-every",
        type=count(),
        default=FULL_DETECTION_EVERY,
        metavar="N",
        help="images from one full look to the next; 1 follows nothing (%(default)s)",
    )
    parser.add_argument("--mediapipe", metavar="PYTHON", help="that has mediapipe==0.10.21")
    parser.add_argument("--seeds", type=count(), default=1, help="how many (%(default)s)")
    parser.add_argument("--scenes", nargs="+", choices=scenes(), help="some only", metavar="NAME")
    parser.add_argument("--skins", type=Path, help="folder of skin textures")
    parser.add_argument("--backgrounds", type=Path, help="folder of photographs without hands")
    parser.add_argument("--pictures", type=Path, help="folder for some of the images")
    args = parser.parse_args(arguments)
    try:
        return _run(args)
    except HandmeshError as problem:
        print(problem, file=sys.stderr)
        return 1


def _run(args: argparse.Namespace) -> int:
    estimator = open_chosen(args, Effort.FAST)
    names = [estimator.model_id, *(["MediaPipe Hands"] if args.mediapipe else [])]
    print("| scene | " + " | ".join(f"{name}: IDF1 | MOTA | switches" for name in names) + " |")
    print("|---" * (1 + 3 * len(names)) + "|")
    rows = []
    for name, (actors, duration_s) in scenes().items():
        if args.scenes and name not in args.scenes:
            continue
        runs = []
        for seed in range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + args.seeds):
            random = np.random.default_rng(seed)
            played = [actor.varied(random) for actor in actors]
            frames = list(Stage(NO_NOISE, seed).play(played, duration_s))
            renderer = SceneRenderer(seed, args.skins, args.backgrounds)
            images = [renderer.render(frame) for frame in frames]
            if args.pictures:
                _keep(images, args.pictures / f"{name} {seed}")
            with ExitStack() as stack:
                finders: list[Finder] = [Followed(estimator, args.look_every).find]
                if args.mediapipe:
                    baseline = MediaPipeBaseline(args.mediapipe, video=True)
                    finders.append(Named(stack.enter_context(closing(baseline))).find)
                runs.append([watch(frames, images, find) for find in finders])
        rows.append([_mean([run[index] for run in runs]) for index in range(len(names))])
        print(f"| {name} | {_cells(rows[-1])} |", flush=True)
    mean = [_mean([row[index] for row in rows]) for index in range(len(names))]
    print(f"| mean | {_cells(mean)} |")
    return 0


def _mean(scores: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([one[key] for one in scores])) for key in scores[0]}


def _cells(scores: list[dict[str, float]]) -> str:
    return " | ".join(
        f"{one['IDF1']:.3f} | {one['MOTA']:.3f} | {one['switches']:.1f}" for one in scores
    )


def _keep(images: list[np.ndarray], stem: Path) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    for number in range(0, len(images), SHOWN_STEP):
        cv2.imwrite(f"{stem} {number:04d}.jpg", images[number][..., ::-1])


if __name__ == "__main__":
    sys.exit(main())

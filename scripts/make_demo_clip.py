"""Renders the bundled demonstration clip: two moving hands in a painted room, camera known.

Writes `demo.mp4` (H.264, by the ffmpeg program) and `demo.json` (its camera) into
handmesh_ros/assets. The motion repeats without a seam. Needs the extra [train] and ffmpeg.

    python scripts/make_demo_clip.py --skins SKINS   # a folder of hand skin textures
    python scripts/make_demo_clip.py                 # painted skins
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

import handmesh_ros
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import MIRROR
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.training.synthesis.arms import arm_towards
from handmesh_ros.training.synthesis.meshes import PLAIN, Mesh, box, ellipsoid, faceted, tube
from handmesh_ros.training.synthesis.poses import PROTOTYPES, axis_angle, rotations_from_angles
from handmesh_ros.training.synthesis.renderer import TEXTURE_SIZE, Lighting, Renderer
from handmesh_ros.training.synthesis.scene import PALM_VIEW, SceneHand, SceneSampler
from handmesh_ros.training.synthesis.surface import pose_hand

ASSETS = Path(handmesh_ros.__file__).parent / "assets"
WIDTH, HEIGHT, RATE_HZ, SECONDS = 640, 480, 30, 10
INTRINSICS = np.array([560.0, 560.0, (WIDTH - 1) / 2, (HEIGHT - 1) / 2])
STEPS = 12
"""Moments per image at which the motion is known; the shutter is open for half of them."""

SHUTTER = (0, 3, 6)
SMOOTHING_S = 0.10
NOISE = 1.3
"""Standard deviation of the camera's noise, of 255."""

FINGER_LAG_S = np.array([0.05, 0.0, 0.015, 0.03, 0.045])
ELBOW = {True: np.array([0.20, 0.62, 0.30]), False: np.array([-0.20, 0.62, 0.30])}
"""Where the forearms of right and left hands point to, camera frame, metres."""

SLEEVE_SEED = 36


@dataclass(frozen=True)
class Key:
    """What a hand does at one moment; a right hand's angles, a left hand mirrors them.

    Attributes:
        time: seconds.
        pose: name in `PROTOTYPES`.
        place: wrist x, y, z in the camera frame, metres.
        view: degrees: turn from palm (0) to back (180), pitch of the fingers away from the
            camera, roll of the fingers to the left of the image.
    """

    time: float
    pose: str
    place: tuple[float, float, float]
    view: tuple[float, float, float]


RIGHT = (
    Key(0.0, "open", (0.13, 0.08, 0.52), (0, 8, 18)),
    Key(0.4, "wide", (0.15, 0.08, 0.50), (0, 6, -18)),
    Key(0.8, "wide", (0.12, 0.08, 0.50), (0, 6, 20)),
    Key(1.2, "wide", (0.15, 0.08, 0.49), (0, 6, -18)),
    Key(1.6, "open", (0.13, 0.08, 0.48), (10, 8, 14)),
    Key(2.3, "open", (0.12, 0.07, 0.46), (170, 5, 5)),
    Key(2.8, "open", (0.12, 0.07, 0.45), (180, 5, 5)),
    Key(3.2, "fist", (0.12, 0.09, 0.44), (180, 5, 5)),
    Key(3.5, "fist", (0.12, 0.09, 0.43), (185, 5, 5)),
    Key(3.9, "point", (0.11, 0.10, 0.42), (200, 15, 15)),
    Key(4.4, "point", (0.09, 0.12, 0.40), (205, 25, 30)),
    Key(4.9, "point", (0.14, 0.12, 0.40), (195, 20, -5)),
    Key(5.4, "ok", (0.12, 0.09, 0.42), (285, 5, 10)),
    Key(5.7, "pinch", (0.12, 0.09, 0.42), (290, 5, 10)),
    Key(6.0, "cup", (0.12, 0.09, 0.42), (290, 5, 10)),
    Key(6.35, "pinch", (0.12, 0.09, 0.43), (290, 5, 8)),
    Key(6.6, "pinch", (0.12, 0.09, 0.43), (300, 5, 8)),
    Key(7.1, "relaxed", (0.22, 0.24, 0.47), (330, 5, -10)),
    Key(7.5, "relaxed", (0.34, 0.56, 0.50), (330, 5, -20)),
    Key(8.0, "relaxed", (0.34, 0.56, 0.52), (340, 5, -20)),
    Key(8.5, "victory", (0.18, 0.14, 0.54), (360, 5, -8)),
    Key(9.3, "victory", (0.14, 0.08, 0.53), (365, 5, 0)),
    Key(9.6, "open", (0.14, 0.08, 0.52), (360, 8, 5)),
    Key(10.0, "open", (0.13, 0.08, 0.52), (360, 8, 18)),
)
LEFT = (
    Key(0.0, "relaxed", (-0.17, 0.12, 0.62), (25, 5, 5)),
    Key(0.5, "open", (-0.16, 0.10, 0.60), (10, 5, 5)),
    Key(0.9, "fist", (-0.16, 0.10, 0.60), (5, 5, 5)),
    Key(1.2, "fist", (-0.16, 0.10, 0.59), (5, 5, 5)),
    Key(1.6, "wide", (-0.15, 0.10, 0.58), (5, 5, 5)),
    Key(1.9, "wide", (-0.15, 0.10, 0.57), (5, 5, 5)),
    Key(2.3, "fist", (-0.14, 0.10, 0.56), (25, 5, 5)),
    Key(2.7, "thumbs_up", (-0.19, 0.10, 0.52), (20, 5, 62)),
    Key(3.4, "thumbs_up", (-0.18, 0.09, 0.50), (20, 5, 62)),
    Key(4.0, "flat", (-0.20, 0.08, 0.70), (80, 5, -10)),
    Key(4.6, "flat", (-0.22, 0.06, 0.88), (150, 5, 0)),
    Key(5.1, "open", (-0.22, 0.05, 0.90), (180, 5, 0)),
    Key(5.6, "relaxed", (-0.18, 0.07, 0.75), (150, 5, 0)),
    Key(6.1, "fist", (-0.12, 0.08, 0.55), (30, 5, 0)),
    Key(6.4, "point", (-0.11, 0.08, 0.50), (10, 5, 0)),
    Key(6.8, "point", (-0.11, 0.08, 0.47), (5, 5, 0)),
    Key(7.05, "victory", (-0.10, 0.08, 0.45), (5, 5, 0)),
    Key(7.4, "victory", (-0.09, 0.08, 0.43), (5, 5, 0)),
    Key(7.65, "three", (-0.08, 0.08, 0.42), (5, 5, 0)),
    Key(8.0, "three", (-0.08, 0.09, 0.40), (5, 5, 0)),
    Key(8.25, "open", (-0.08, 0.09, 0.39), (5, 8, 0)),
    Key(8.7, "wide", (-0.09, 0.10, 0.38), (5, 8, 5)),
    Key(9.4, "soft", (-0.14, 0.12, 0.52), (40, 5, 10)),
    Key(10.0, "relaxed", (-0.17, 0.12, 0.62), (25, 5, 5)),
)


class Motion:
    """A hand's motion over one period, smooth and without a seam.

    Args:
        keys: in the order of time, the first at 0 and the last at `SECONDS` with the same pose.
        is_right: side.
        sway: seed of the small movements that never stop.
    """

    def __init__(self, keys: Sequence[Key], is_right: bool, sway: int) -> None:
        self.is_right = is_right
        times = [key.time for key in keys]
        count = SECONDS * RATE_HZ * STEPS
        now = np.arange(count) / (RATE_HZ * STEPS)
        angles = np.stack([PROTOTYPES[key.pose] for key in keys])
        lagging = now - FINGER_LAG_S[:, None]
        self.angles = np.stack(
            [
                [_sample(lagging[finger], times, angles[:, finger, k]) for k in range(5)]
                for finger in range(5)
            ]
        ).transpose(2, 0, 1)
        rng = np.random.default_rng(sway)
        rows = np.array([(*key.place, *np.deg2rad(key.view)) for key in keys])
        values = np.stack([_sample(now, times, column) for column in rows.T], axis=1)
        for turns in (2, 3, 5, 7):
            phase = 2 * np.pi * (turns * now[:, None] / SECONDS + rng.random(6))
            values += np.sin(phase) / turns * np.array([0.004, 0.004, 0.005, 0.05, 0.03, 0.03])
        self.places, self.views = values[:, :3], values[:, 3:]

    def rotations(self, step: int, joints: np.ndarray) -> np.ndarray:
        """Return (16, 3, 3) rotations of a right hand; `joints` as in `rotations_from_angles`."""
        rotations = rotations_from_angles(self.angles[step], joints)
        turn, pitch, roll = self.views[step]
        x, y, z = np.eye(3)
        rotations[0] = axis_angle(z, -roll) @ axis_angle(x, -pitch) @ axis_angle(y, turn)
        rotations[0] = rotations[0] @ PALM_VIEW
        return rotations if self.is_right else MIRROR @ rotations @ MIRROR


def _sample(now: np.ndarray, times: Sequence[float], values: np.ndarray) -> np.ndarray:
    """Interpolate linearly and smooth with a Gaussian, both round the period.

    Whole turns that the values make in a period are kept.
    """
    gain = values[-1] - values[0]
    straight = np.interp(now % SECONDS, times, values - gain * np.asarray(times) / SECONDS)
    frequency = np.fft.rfftfreq(len(now), 1.0 / (RATE_HZ * STEPS))
    damping = np.exp(-0.5 * (2 * np.pi * SMOOTHING_S * frequency) ** 2)
    smooth = np.fft.irfft(np.fft.rfft(straight) * damping, len(now))
    return np.asarray(smooth + gain * now / SECONDS)


def paint_textures() -> np.ndarray:
    """Return (2, 512, 512, 3) uint8: knitted cloth and wood, factors on a colour."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:TEXTURE_SIZE, 0:TEXTURE_SIZE] / TEXTURE_SIZE
    ribs = np.abs(np.sin(np.pi * 26 * columns)) ** 0.5
    loops = 0.5 + 0.5 * np.sin(2 * np.pi * (64 * rows + np.abs(26 * columns % 1 - 0.5)))
    cloth = 0.72 + 0.18 * ribs + 0.06 * loops + rng.normal(0, 0.015, rows.shape)
    waves = cv2.resize(rng.normal(0, 1, (24, 5)), rows.shape, interpolation=cv2.INTER_CUBIC)
    grain = np.sin(2 * np.pi * (9 * rows + 0.35 * waves))
    fine = cv2.resize(rng.normal(0, 1, (256, 12)), rows.shape, interpolation=cv2.INTER_CUBIC)
    wood = 0.86 + 0.05 * grain + 0.03 * fine
    layers = np.stack([cloth, wood])[..., None] * np.ones(3)
    return (np.clip(layers, 0, 1) * 255).astype(np.uint8)


def furniture(wood: int) -> list[Mesh]:
    """Return the room: walls, table, window, shelf, lamp, plant; `wood` is a texture layer."""
    meshes = []

    def put(
        shape: tuple[np.ndarray, np.ndarray, np.ndarray],
        place: tuple[float, float, float] | np.ndarray,
        color: tuple[float, float, float] | np.ndarray,
        layer: int = PLAIN,
    ) -> None:
        vertices, faces, uv = shape
        colors = np.tile(np.array(color, float), (len(vertices), 1))
        meshes.append(Mesh(vertices + place, faces, colors, 255, uv, layer, gloss=0.02))

    def block(size: tuple[float, float, float], *rest: object) -> None:
        put(box(np.array(size)), *rest)  # type: ignore[arg-type]

    block((8, 5, 0.1), (0, -0.4, 3.0), (0.62, 0.60, 0.54))
    block((4, 0.04, 1.1), (0, 0.42, 1.45), (0.55, 0.36, 0.20), wood)
    block((1.02, 1.36, 0.06), (-1.05, -0.62, 2.93), (0.80, 0.79, 0.76))
    for column in (-1.28, -0.82):
        for row in (-0.93, -0.31):
            block((0.40, 0.56, 0.02), (column, row, 2.90), (2.6, 2.9, 3.2))
    for x, color in ((-1.72, (0.50, 0.53, 0.55)), (-0.38, (0.50, 0.53, 0.55))):
        for fold in range(5):
            points = np.array([[0, -0.85, 0], [0, 0.85, 0]], float)
            put(tube(points, np.array([0.045, 0.05])), (x + 0.055 * (fold - 2), -0.5, 2.85), color)
    for row in (-0.62, -0.10):
        block((1.25, 0.03, 0.26), (1.05, row, 2.82), (0.50, 0.34, 0.20), wood)
    rng = np.random.default_rng(5)
    for row, left, right in ((-0.62, 0.50, 1.25), (-0.10, 0.85, 1.62)):
        x = left
        while x < right:
            width, height = rng.uniform(0.03, 0.06), rng.uniform(0.22, 0.33)
            hue = np.array([(0.30, 0.10, 0.08), (0.08, 0.18, 0.28), (0.45, 0.38, 0.25),
                            (0.10, 0.22, 0.16), (0.55, 0.52, 0.48)][rng.integers(5)])  # fmt: skip
            place = (x + width / 2, row - 0.015 - height / 2, 2.80)
            block((width - 0.004, height, 0.18), place, hue * rng.uniform(0.8, 1.3))
            x += width
    put(ellipsoid(np.array([0.09, 0.12, 0.09])), (1.45, -0.75, 2.80), (0.60, 0.30, 0.18))
    pot = np.array([[0, -0.08, 0], [0, 0.08, 0]], float)
    put(tube(pot, np.array([0.08, 0.06]), 24), (0.62, -0.20, 2.80), (0.75, 0.73, 0.70))
    for _ in range(34):
        direction = rng.normal(0, 1, 3) * [1, 0.7, 0.6] - [0, 1.0, 0]
        leaf = ellipsoid(np.array([0.022, 0.07, 0.012]), 6, 8)
        tilt = axis_angle(np.array([0.0, 0, 1]), float(np.arctan2(direction[0], -direction[1])))
        leaf = (leaf[0] @ tilt.T, leaf[1], leaf[2])
        middle = np.array([0.62, -0.30, 2.78]) + 0.09 * direction
        put(leaf, middle, (0.10, rng.uniform(0.2, 0.32), 0.08))
    cup = np.array([[0, -0.05, 0], [0, 0.05, 0]], float)
    put(faceted(*tube(cup, np.array([0.042, 0.038]), 28)), (0.52, 0.35, 1.25), (0.12, 0.26, 0.38))
    block((0.26, 0.035, 0.19), (-0.55, 0.385, 1.30), (0.45, 0.12, 0.10))
    block((0.23, 0.03, 0.17), (-0.53, 0.35, 1.31), (0.75, 0.70, 0.58))
    return meshes


def room_light() -> Lighting:
    """Return daylight from the window on the left and a warm lamp."""
    directions = np.array([[-0.75, -0.60, -0.45], [0.7, -0.5, -0.55], [0.0, -0.3, -1.0]])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    colors = np.array([[0.78, 0.80, 0.84], [0.24, 0.19, 0.14], [0.16, 0.16, 0.16]])
    return Lighting(
        directions, colors, np.array([0.40, 0.42, 0.45]), np.array([0.30, 0.25, 0.21]),
        exposure=0.80, shadow=0.5, roughness=0.55,
    )  # fmt: skip


class Clip:
    """Draws the frames of the clip.

    Args:
        skins: folder of skin textures, or None for painted ones.
        seed: of the skin and the noise.

    Raises:
        HandmeshError: EGL is missing or the folder is unusable.
    """

    def __init__(self, skins: Path | None, seed: int) -> None:
        self.sampler = SceneSampler(
            HandTemplate.bundled(), HandTemplate.bundled_render(), WIDTH, HEIGHT, skins
        )
        textures = np.concatenate([self.sampler.textures, paint_textures()])
        self.cloth, wood = len(textures) - 2, len(textures) - 1
        self.renderer = Renderer(WIDTH, HEIGHT, textures)
        self.seed = seed
        rng = np.random.default_rng(seed)
        self.skin = self.sampler.skins.sample(rng)
        shapes: int = self.sampler.output_model.shape_dirs.shape[2]
        self.shape = rng.normal(0, 0.5, shapes)
        self.light = room_light()
        self.motions = (Motion(RIGHT, True, 1), Motion(LEFT, False, 2))
        black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        sharp = self.renderer.draw(furniture(wood), INTRINSICS, self.light, black).color
        self.background = cv2.GaussianBlur(sharp, (0, 0), 3.0)

    def frame(self, number: int) -> np.ndarray:
        """Return one (480, 640, 3) uint8 RGB image, blurred by motion, with noise."""
        moments = [self._draw(number * STEPS + step) for step in SHUTTER]
        light = np.mean([np.square(m.astype(np.float32)) for m in moments], axis=0)
        noise = np.random.default_rng([self.seed, number]).normal(0, NOISE, light.shape)
        return np.clip(np.sqrt(light) + noise, 0, 255).round().astype(np.uint8)

    def _draw(self, step: int) -> np.ndarray:
        meshes: list[Mesh] = []
        for number, motion in enumerate(self.motions, start=1):
            hand = self._hand(motion, step)
            elbow = ELBOW[hand.is_right]
            arm = arm_towards(elbow, hand.rotations[0], hand.translation, hand.is_right)
            cloth = (self.cloth, np.array([0.10, 0.16, 0.22]))
            rng = np.random.default_rng(SLEEVE_SEED)
            meshes += self.sampler.hand_meshes(rng, hand, number, arm, 0.35, cloth)
        return self.renderer.draw(meshes, INTRINSICS, self.light, self.background).color

    def _hand(self, motion: Motion, step: int) -> SceneHand:
        model = self.sampler.output_model
        rotations = motion.rotations(step, model.joint_template)
        wrist = motion.places[step]
        surface = pose_hand(model, rotations, self.shape, motion.is_right, wrist)
        keypoints = surface.keypoints(model.fingertips)
        return SceneHand(
            motion.is_right, rotations, self.shape, wrist, self.skin, surface, keypoints
        )


def encode(frames: Iterator[np.ndarray], path: Path, quality: int) -> None:
    """Write (H, W, 3) uint8 RGB images as H.264.

    Raises:
        HandmeshError: ffmpeg is missing or failed.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise HandmeshError("the program ffmpeg writes the clip: install the package ffmpeg")
    command = [
        program, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
        "-s", f"{WIDTH}x{HEIGHT}", "-r", str(RATE_HZ), "-i", "-", "-c:v", "libx264",
        "-preset", "slow", "-crf", str(quality), "-pix_fmt", "yuv420p",
        "-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709", "-color_trc", "bt709",
        "-color_primaries", "bt709", "-threads", "2", "-fflags", "+bitexact",
        "-flags:v", "+bitexact", "-movflags", "+faststart", str(path),
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for frame in frames:
            process.stdin.write(frame.tobytes())
        process.stdin.close()
    if process.returncode:
        raise HandmeshError(f"ffmpeg could not write {path}: see its message above")


def main() -> int:
    """Write the clip and its camera; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skins", type=Path, help="folder of hand skin textures (CC0 or yours)")
    parser.add_argument("--seed", type=int, default=3, help="of skin, hand shape and noise")
    parser.add_argument("--quality", type=int, default=18, help="x264's crf; less is better")
    parser.add_argument("--output", type=Path, default=ASSETS, help="folder for the two files")
    parser.add_argument("--sheet", type=Path, help="only draw 24 frames into this image")
    options = parser.parse_args()
    try:
        clip = Clip(options.skins, options.seed)
        count = SECONDS * RATE_HZ
        if options.sheet:
            frames = [clip.frame(round(i * count / 24)) for i in range(24)]
            rows = [np.hstack(frames[i : i + 4]) for i in range(0, 24, 4)]
            cv2.imwrite(str(options.sheet), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
            return 0
        encode(map(clip.frame, range(count)), options.output / "demo.mp4", options.quality)
    except HandmeshError as error:
        print(f"make_demo_clip: {error}", file=sys.stderr)
        return 1
    names = dict(zip(("fx", "fy", "cx", "cy"), INTRINSICS.tolist(), strict=True))
    camera = {**names, "width": WIDTH, "height": HEIGHT, "fps": RATE_HZ}
    (options.output / "demo.json").write_text(json.dumps(camera) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

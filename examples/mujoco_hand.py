"""A robot hand in MuJoCo that copies a hand of a video, as a GIF beside the video; no ROS.

    pip install 'handmesh_ros[sim]'
    python3 -m examples.mujoco_hand --output hand.gif
    python3 -m examples.mujoco_hand my_clip.mp4 --side left --fov 70 --output hand.gif

The robot is Shadow Robot's hand (Apache 2.0) as gymnasium-robotics ships it, a right one: a left
hand is copied as its mirror image, and the picture mirrored back. Its finger joints are found by
inverse kinematics (mink): each link points as the person's bone does in the palm, with the robot's
own lengths. It stands where the person's hand stands before the camera. Angles are set, not
driven: there are no forces.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("MUJOCO_GL", "egl")  # renders without a window

import numpy as np
from PIL import Image

import handmesh_ros
from handmesh_ros.common.arguments import count, number
from handmesh_ros.common.files import write_whole
from handmesh_ros.common.imports import needed_for
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import MIRROR, RIGHT, SIDES, WRIST, operator_frame
from handmesh_ros.hand.hands import State
from handmesh_ros.hand.vectors import units
from handmesh_ros.inference.opening import open_finder
from handmesh_ros.inference.preprocess import ASSUMED_FOV_DEG, intrinsics_from_fov
from handmesh_ros.media.sources import find_sources, read_frames
from handmesh_ros.tracking.video import VideoTracker
from handmesh_ros.visualization.draw import draw_hands

ASSETS = Path(handmesh_ros.__file__).parent / "assets"
WORLD_FROM_CAMERA = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""From the optical frame (x right, y down, z forward) to MuJoCo's world, z up; one origin."""

OPERATOR_FROM_PALM = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
"""From the axes of the model's palm (x to the thumb, y out of the back) to the operator frame."""

LINKS = {
    "th": ("thbase", "thmiddle", "thdistal", "S_thtip"),
    **{
        f: (f"{f}knuckle", f"{f}middle", f"{f}distal", f"S_{f}tip")
        for f in ("ff", "mf", "rf", "lf")
    },
}
"""Where the links of each finger begin, bodies and in the end a site, thumb to little finger."""

SCENE = """
<mujoco>
  <compiler angle="radian" meshdir="{assets}/stls/hand" texturedir="{assets}/textures"/>
  <visual>
    <global offwidth="{width}" offheight="{height}"/>
    <map znear="0.01"/>
    <headlight ambient="0.25 0.25 0.25" diffuse="0.2 0.2 0.2" specular="0 0 0"/>
  </visual>
  <include file="{assets}/hand/shared.xml"/>
  <asset>
    <include file="{assets}/hand/shared_asset.xml"/>
  </asset>
  <worldbody>
    <camera name="camera" pos="0 0 0" xyaxes="1 0 0 0 0 1" fovy="{fovy}"/>
    <light directional="true" dir="0.4 0.7 -0.8" diffuse="0.55 0.55 0.55" specular="0.1 0.1 0.1"/>
    <include file="{assets}/hand/robot.xml"/>
  </worldbody>
</mujoco>
"""
BACKGROUND = ((0.8, 0.83, 0.87), (0.5, 0.55, 0.62))
PREFIX = "robot0:"
STEPS, STEP_S = 8, 1.0
"""Steps of inverse kinematics an image. A step of 1 s lets it go the whole way at once."""


class RobotHand:
    """Shadow Robot's right hand in MuJoCo, seen by the person's camera.

    Args:
        intrinsics: (4,) fx, fy, cx, cy of the camera, pixels; the centre is taken to be the
            image's.
        width: of the camera's images, pixels.
        height: the same.

    Attributes:
        joint_names: in the order of `follow`'s angles, the model's.

    Raises:
        HandmeshError: MuJoCo, mink or the model are not installed.
    """

    def __init__(self, intrinsics: np.ndarray, width: int, height: int) -> None:
        with needed_for("A robot hand in MuJoCo", ".[sim]"):
            import mink
            import mujoco
        self._mujoco, self._mink = mujoco, mink
        fovy = float(np.degrees(2 * np.arctan(height / 2 / intrinsics[1])))
        scene = SCENE.format(assets=model_folder(), fovy=fovy, width=width, height=height)
        spec = mujoco.MjSpec.from_string(scene)
        for texture in spec.textures:
            if texture.type == mujoco.mjtTexture.mjTEXTURE_SKYBOX:
                texture.rgb1, texture.rgb2 = BACKGROUND
        self._model = spec.compile()
        names = [self._model.joint(index).name for index in range(self._model.njnt)]
        self.joint_names = [name.removeprefix(PREFIX) for name in names]
        self._mount = self._model.body(f"{PREFIX}hand mount")
        self._configuration = mink.Configuration(self._model)
        self._at_rest = self._in_palm()
        self._tasks = {
            link: mink.FrameTask(
                f"{PREFIX}{link}",
                "site" if link.startswith("S_") else "body",
                position_cost=1.0,
                orientation_cost=0.0,
            )
            for links in LINKS.values()
            for link in links[1:]
        }
        # Between solutions that are as good the straighter one; the wrist is moved as a whole.
        stiff = [10.0 if name.startswith("WRJ") else 3e-3 for name in self.joint_names]
        self._posture = mink.PostureTask(self._model, cost=np.array(stiff))
        self._posture.set_target(np.zeros(self._model.nq))
        # From here straight fingers are found as well as a fist; from a straight finger a curled
        # one is not, and the other way round.
        still = np.array([name.startswith("WRJ") for name in self.joint_names])
        self._half_closed = np.where(still, 0.0, self._model.jnt_range.mean(1))
        self._limits = [mink.ConfigurationLimit(self._model)]
        self._looks = mujoco.MjvOption()
        self._looks.sitegroup[:] = 0
        self._size = (height, width)
        self._renderer: Any = None

    def follow(self, joints: np.ndarray, is_right: bool) -> np.ndarray:
        """Pose the robot as a hand.

        Args:
            joints: (21, 3) keypoints, metres, camera optical frame.
            is_right: of the hand; a left one is mirrored.

        Returns:
            (J,) joint angles, radians.
        """
        joints = np.asarray(joints, np.float64)
        if not is_right:
            joints = joints @ MIRROR
        frame = operator_frame(joints, True)
        self._configuration.update(self._half_closed)
        self._place(WORLD_FROM_CAMERA @ joints[WRIST], WORLD_FROM_CAMERA @ frame)
        palm = self._palm()
        bones = (joints - joints[WRIST]) @ frame @ OPERATOR_FROM_PALM
        for finger, links in enumerate(LINKS.values()):
            chain = bones[4 * finger + 1 : 4 * finger + 5]
            rest = np.array([self._at_rest[link] for link in links])
            lengths = np.linalg.norm(np.diff(rest, axis=0), axis=-1, keepdims=True)
            places = rest[0] + np.cumsum(lengths * units(np.diff(chain, axis=0)), axis=0)
            for link, place in zip(links[1:], places, strict=True):
                in_palm = self._mink.SE3.from_translation(place)
                self._tasks[link].set_target(palm.multiply(in_palm))
        tasks = [*self._tasks.values(), self._posture]
        for _ in range(STEPS):
            velocity = self._mink.solve_ik(
                self._configuration, tasks, STEP_S, "daqp", damping=1e-4, limits=self._limits
            )
            self._configuration.integrate_inplace(velocity, STEP_S)
        return self._configuration.q.copy()

    def render(self) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB: the robot as the camera would see it.

        Raises:
            HandmeshError: there is nothing to render with.
        """
        if self._renderer is None:
            try:
                self._renderer = self._mujoco.Renderer(self._model, *self._size)
            except Exception as error:  # of EGL, OSMesa or GLFW, each its own
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                raise HandmeshError(
                    f"MuJoCo cannot render here ({reason}): install libegl1 and libgl1-mesa-dri, "
                    "or libosmesa6 and set MUJOCO_GL=osmesa."
                ) from error
        data = self._configuration.data
        self._mujoco.mj_camlight(self._model, data)  # which mink's update leaves out
        self._renderer.update_scene(data, "camera", self._looks)
        return self._renderer.render()

    def bone_errors(self) -> np.ndarray:
        """Return (15,) how far the links are from where the last hand wants them, metres."""
        tasks = self._tasks.values()
        return np.array([np.linalg.norm(t.compute_error(self._configuration)[:3]) for t in tasks])

    def close(self) -> None:
        """Free the renderer."""
        if self._renderer is not None:
            self._renderer.close()

    def _place(self, wrist: np.ndarray, operator: np.ndarray) -> None:
        """Move the whole hand: its wrist to a place, its palm to an operator frame."""
        rotation = operator @ OPERATOR_FROM_PALM
        quaternion = np.zeros(4)
        self._mujoco.mju_mat2Quat(quaternion, rotation.ravel())
        in_mount = self._wrist_in_mount()
        self._model.body_quat[self._mount.id] = quaternion
        self._model.body_pos[self._mount.id] = wrist - rotation @ in_mount
        self._configuration.update()

    def _wrist_in_mount(self) -> np.ndarray:
        forearm, wrist = (self._model.body(f"{PREFIX}{name}") for name in ("forearm", "wrist"))
        return forearm.pos + wrist.pos

    def _palm(self) -> Any:
        return self._configuration.get_transform_frame_to_world(f"{PREFIX}palm", "body")

    def _in_palm(self) -> dict[str, np.ndarray]:
        """Return where all links begin now, in the palm's axes, metres."""
        palm, places = self._palm().inverse(), {}
        for link in (link for links in LINKS.values() for link in links):
            kind = "site" if link.startswith("S_") else "body"
            frame = self._configuration.get_transform_frame_to_world(f"{PREFIX}{link}", kind)
            places[link] = palm.multiply(frame).translation()
        return places


def model_folder() -> Path:
    """Return the folder of gymnasium-robotics' models.

    Raises:
        HandmeshError: it is not installed.
    """
    found = importlib.util.find_spec("gymnasium_robotics")  # importing it needs more than files
    if found is None or not found.origin:
        raise HandmeshError(
            "The model of the robot hand is in gymnasium-robotics, which is not installed: run "
            "`pip install gymnasium-robotics`."
        )
    return Path(found.origin).parent / "envs" / "assets"


def pictures(
    path: Path, side: int, fov_deg: float | None, rate: float, seconds: float
) -> Iterator[np.ndarray]:
    """Yield (H, 2 W, 3) uint8 RGB: the video with the hand found, and the robot beside it.

    Args:
        path: of a video.
        side: of the person's hand.
        fov_deg: of the camera across the longer side; None for the bundled clip's own.
        rate: pictures per second.
        seconds: of the video at most.

    Raises:
        HandmeshError: the video, a network or the robot cannot be used.
    """
    (source,) = find_sources(path)
    if not source.is_video:
        raise HandmeshError(f"{path} is a photograph: give a video in which a hand moves.")
    tracker = VideoTracker(open_finder())
    robot: RobotHand | None = None
    shown = 0
    try:
        for frame in read_frames(source):
            height, width = frame.image.shape[:2]
            if path == ASSETS / "demo.mp4" and fov_deg is None:
                camera = json.loads((ASSETS / "demo.json").read_text())
                intrinsics = np.array([camera[name] for name in ("fx", "fy", "cx", "cy")])
            else:
                intrinsics = intrinsics_from_fov(height, width, fov_deg or ASSUMED_FOV_DEG)
            time_s = frame.time_s or 0.0
            if time_s > seconds:
                break
            robot = robot or RobotHand(intrinsics, width, height)
            tracked = tracker.update(frame.image, intrinsics, time_s)
            mine = (tracked.hands.handedness == side) & (tracked.state == State.TRACKED)
            hands = tracked.hands[np.flatnonzero(mine)[:1]]
            if len(hands):
                robot.follow(hands.joints[0], side == RIGHT)
            if time_s * rate + 1e-6 < shown:
                continue
            shown += 1
            seen = draw_hands(frame.image, hands, labels=False)
            rendered = robot.render()
            yield np.hstack([seen, rendered if side == RIGHT else rendered[:, ::-1]])
    finally:
        if robot is not None:
            robot.close()


def write_gif(path: Path, images: Iterator[np.ndarray], rate: float, width: int) -> int:
    """Write pictures as an endless GIF; return how many they are.

    Args:
        path: of the file.
        images: (H, W, 3) uint8 RGB each.
        rate: pictures per second.
        width: to which they are scaled, pixels.

    Raises:
        HandmeshError: there are no pictures.
    """
    frames = []
    for image in images:
        size = (width, round(image.shape[0] * width / image.shape[1]))
        frames.append(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS).quantize(128))
    if not frames:
        raise HandmeshError("The video has no images in the time that was asked for.")
    encoded = io.BytesIO()
    rest = {"save_all": True, "append_images": frames[1:], "loop": 0, "duration": 1000 / rate}
    frames[0].save(encoded, "GIF", **rest)
    write_whole(path, encoded.getvalue(), sync=False)
    return len(frames)


def main(arguments: list[str] | None = None) -> int:
    """Write the GIF; return the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m examples.mujoco_hand")
    parser.add_argument("video", nargs="?", type=Path, default=ASSETS / "demo.mp4")
    parser.add_argument("--output", type=Path, default=Path("mujoco_hand.gif"), help="the GIF")
    parser.add_argument("--side", choices=SIDES, default="right", help="which hand is copied")
    parser.add_argument("--fov", type=number(1, 170), help="of the camera, degrees (default 60)")
    parser.add_argument("--rate", type=number(0.1, 50), default=10.0, help="pictures per second")
    parser.add_argument("--seconds", type=number(0), default=1e9, help="of the video at most")
    parser.add_argument("--width", type=count(64, 4096), default=800, help="of the GIF, pixels")
    given = parser.parse_args(arguments)
    try:
        if given.output.suffix.lower() != ".gif":
            raise HandmeshError(f"{given.output} is no GIF: give a name that ends in .gif.")
        images = pictures(
            given.video, SIDES.index(given.side), given.fov, given.rate, given.seconds
        )
        written = write_gif(given.output, images, given.rate, given.width)
    except (HandmeshError, OSError) as error:
        print(f"mujoco_hand: {error}", file=sys.stderr)
        return 1
    print(f"{written} pictures in {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

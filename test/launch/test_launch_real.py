"""The launch files under the real `ros2 launch`, from a robot's own launch file."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="needs launch_ros, which only a ROS 2 machine has")
pytest.importorskip("ros2launch", reason="needs ros2launch, which only a ROS 2 machine has")
pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")

import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from handmesh_ros.msg import HandMeshArray

pytestmark = pytest.mark.ros

WAIT_S = 90.0
DOMAIN = 101 + os.getpid() % 100
"""Other nodes on this machine must not be heard."""

ROBOT = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    hands = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution([FindPackageShare("handmesh_ros"), "launch", "{name}.launch.py"])
        ),
        launch_arguments={arguments}.items(),
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument("model", default_value="ur5e", description="of the arm"),
            GroupAction([hands], forwarding=False),
        ]
    )
"""


class Robot:
    """A launch file of a robot that runs under `ros2 launch`, and a client beside it."""

    def __init__(self, folder: Path, name: str, arguments: dict[str, str]) -> None:
        path = folder / "robot.launch.py"
        path.write_text(ROBOT.format(name=name, arguments=repr(arguments)))
        program = shutil.which("ros2")
        assert program, "ros2launch is there, but no `ros2` on the PATH"
        self.log = folder / "log.txt"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [program, "launch", str(path)],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # A context of our own: other tests in this process have theirs.
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=DOMAIN)
        self.client = rclpy.create_node("client", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.client)

    def send_until(self, condition, publishers_and_messages) -> None:
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            for publisher, message in publishers_and_messages:
                message.header.stamp = self.client.get_clock().now().to_msg()
                publisher.publish(message)
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> int:
        """Interrupt it as Ctrl-C does; return its exit status."""
        if self._context.ok():
            self._executor.shutdown()
            self.client.destroy_node()
            rclpy.shutdown(context=self._context)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(30.0)


@pytest.fixture
def robot(tmp_path, monkeypatch):
    """Starts a robot; ends it again."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    robots = []

    def start(name: str, arguments: dict[str, str]) -> Robot:
        robots.append(Robot(tmp_path, name, arguments))
        return robots[-1]

    yield start
    for each in robots:
        each.close()


def camera(client, image_topic: str, info_topic: str) -> list:
    """Publishers of a small grey picture and its calibration, with their messages."""
    header = Header(frame_id="camera")
    image = Image(header=header, height=48, width=64, encoding="rgb8", step=192)
    image.data = bytes([90]) * (192 * 48)
    info = CameraInfo(header=header, height=48, width=64)
    info.k = [60.0, 0.0, 31.5, 0.0, 60.0, 23.5, 0.0, 0.0, 1.0]
    return [
        (client.create_publisher(Image, image_topic, 1), image),
        (client.create_publisher(CameraInfo, info_topic, 1), info),
    ]


def test_a_robot_includes_the_detector(robot, tmp_path, tiny_model):
    parameters = tmp_path / "robot.yaml"
    parameters.write_text(
        "/robot/head/eyes:\n  ros__parameters:\n    max_hands: 1\n"
        f"    model: {tiny_model}\n    publish_mesh: false\n"
    )
    started = robot(
        "detect",
        {
            "namespace": "robot/head",
            "name": "eyes",
            "image": "/head_camera/image_raw",
            "camera_info": "/head_camera/camera_info",
            "params_file": str(parameters),
        },
    )
    hands: list[HandMeshArray] = []
    started.client.create_subscription(HandMeshArray, "/robot/head/hands", hands.append, 1)
    sent = camera(started.client, "/head_camera/image_raw", "/head_camera/camera_info")
    started.send_until(lambda: hands and hands[-1].calibrated, sent)
    assert hands[-1].model_id == "tiny-test"
    assert len(hands[-1].hands) == 1 and not hands[-1].hands[0].vertices
    names = started.client.get_node_names_and_namespaces()
    assert ("eyes", "/robot/head") in names
    assert started.close() == 0
    assert "Traceback" not in started.log.read_text()


def test_a_robot_includes_the_detector_with_depth(robot, tiny_model):
    started = robot("detect_depth", {"namespace": "robot", "model": str(tiny_model)})
    hands: list[HandMeshArray] = []
    started.client.create_subscription(HandMeshArray, "/robot/hands", hands.append, 1)
    color = "/camera/camera/color"
    sent = camera(started.client, f"{color}/image_raw", f"{color}/camera_info")
    topic = "/camera/camera/aligned_depth_to_color/image_raw"
    depth = Image(header=sent[0][1].header, height=48, width=64, encoding="16UC1", step=128)
    depth.data = bytes([132, 3]) * (64 * 48)
    sent.insert(0, (started.client.create_publisher(Image, topic, 1), depth))

    def scaled() -> bool:
        return bool(hands) and {hand.scale_source for hand in hands[-1].hands} == {2}

    started.send_until(scaled, sent)


@pytest.fixture
def player(tmp_path, monkeypatch):
    """A `ros2` that notes how `ros2 bag` was called and ends; all else goes to the real one."""
    noted = tmp_path / "played.txt"
    script = tmp_path / "bin" / "ros2"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = bag ]; then echo "$@" > {noted}; exit 0; fi\n'
        f'exec {shutil.which("ros2")} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    return noted


def test_replay_plays_the_bag_with_its_clock_and_ends_with_it(robot, player, tiny_model):
    started = robot("replay", {"bag": "walk", "model": str(tiny_model)})
    assert started.process.wait(WAIT_S) == 0, started.log.read_text()
    played = player.read_text().split()
    assert played[:5] == ["bag", "play", "walk", "--clock", "100"]
    assert "--loop" not in played

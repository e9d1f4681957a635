"""The examples as processes of their own: exit status and the sentences that people see."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[2]
TELEOP, RETARGET = "teleop_wrist", "retarget_dexterous_hand"


def run(name, *arguments):
    command = [sys.executable, "-m", f"examples.{name}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        (RETARGET, "side:=1", "The parameter side is 1: choose left or right."),
        (RETARGET, "robot:=5", "The parameter robot is 5 (int): give a text."),
        (TELEOP, "base_frame:=5", "The parameter base_frame is 5 (int): give a text."),
    ],
)
def test_an_impossible_parameter_is_one_sentence(name, given, words):
    ended = run(name, "--ros-args", "-p", given)
    assert ended.stderr == f"{name}: {words}\n"
    assert ended.returncode == 1


def test_a_file_that_holds_no_settings_is_one_sentence():
    pytest.importorskip("dex_retargeting", reason="needs dex-retargeting, torch and six")
    ended = run(RETARGET, "--ros-args", "-p", "config:=README.md", "-p", "urdf_dir:=test")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"{RETARGET}: The settings README.md cannot be used with")
    assert len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ros-args", "-p", "position:=[0.4, 0, 0.3]"], "all numbers of a list with a decimal"),
        (["--ros-args", "-p", "position"], "ROS cannot use these arguments"),
        (["--side", "left"], "--ros-args -p NAME:=VALUE"),
    ],
)
def test_impossible_arguments_are_no_traceback(arguments, words):
    ended = run(TELEOP, *arguments)
    assert ended.returncode != 0
    assert words in ended.stderr and "Traceback" not in ended.stderr


def test_a_misspelt_name_is_said():
    ended = run(RETARGET, "--ros-args", "-p", "sid:=left", "-p", "urdf_dir:=nowhere")
    assert f"{RETARGET} has no parameter 'sid': did you mean side?" in ended.stderr


def test_names_that_nothing_has_are_said_and_an_interrupt_ends_it_cleanly(tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text("/teleop:\n  ros__parameters:\n    scale: 0.5\n")
    arguments = ["--ros-args", "-p", "sid:=left", "--params-file", str(path)]
    process = subprocess.Popen(
        [sys.executable, "-m", f"examples.{TELEOP}", *arguments],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = [process.stderr.readline(), process.stderr.readline()]
    assert "no parameter 'sid': did you mean side?" in lines[0]
    assert f"{path} has nothing for /teleop_wrist (only for /teleop)" in lines[1]
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 0 and "Traceback" not in rest

"""The launch file, for real where `launch_ros` is installed, and the files it names."""

import runpy
from pathlib import Path

import pytest

from handmesh_ros.ros.parameters import settings

ROOT = Path(__file__).resolve().parents[2]
RVIZ = ROOT / "config" / "handmesh.rviz"


def test_the_rviz_file_shows_what_the_node_publishes():
    yaml = pytest.importorskip("yaml", reason="needs PyYAML: run `make test`")
    displays = yaml.safe_load(RVIZ.read_text())["Visualization Manager"]["Displays"]
    topics = {display["Topic"]["Value"] for display in displays if "Topic" in display}
    assert topics == {"/handmesh/markers", "/handmesh/overlay"}
    hands = next(display for display in displays if display["Name"] == "Hands")
    assert set(hands["Namespaces"]) == {"mesh", "skeleton", "joints", "label"}


def test_the_launch_file_starts_the_detector_with_its_arguments():
    pytest.importorskip("launch_ros", reason="needs launch_ros, which only a ROS 2 machine has")
    from launch import LaunchContext

    module = runpy.run_path(str(ROOT / "launch" / "detect.launch.py"))
    assert set(module["TEXTS"]) < set(settings())
    context = LaunchContext()
    for entity in module["generate_launch_description"]().entities[: len(module["ARGUMENTS"])]:
        entity.execute(context)
    context.launch_configurations.update(namespace="robot", model="m.onnx")
    (node,) = module["make_detector"](context)
    assert node.node_executable == "detector"

"""What the launch files start, resolved by a stand-in for `launch` that runs everywhere."""

import ast
from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="needs PyYAML: run `make test`")

import launch_standin

from handmesh_ros.ros.parameters.schema import Parameters

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "launch"
DEFAULTS = str(ROOT / "config" / "detect.yaml")


def start(name: str, **given: str) -> list:
    return launch_standin.resolve(LAUNCH / f"{name}.launch.py", **given)


def test_by_default_the_file_of_parameters_alone_decides():
    (detector,) = start("detect")
    assert (detector["executable"], detector["name"]) == ("detector", "detector")
    assert detector["parameters"] == [DEFAULTS, {}]
    assert detector["namespace"] == ""


def test_arguments_become_parameters_and_remappings():
    (detector,) = start(
        "detect",
        namespace="robot/head",
        image="/cam/image_raw",
        camera_info="/cam/camera_info",
        params_file="mine.yaml",
        model="mine.onnx",
        use_sim_time="true",
        autostart="false",
        log_level="debug",
    )
    assert detector["namespace"] == "robot/head"
    assert detector["parameters"] == [
        "mine.yaml",
        {"model": "mine.onnx", "autostart": False, "use_sim_time": True},
    ]
    assert detector["remappings"] == {
        "image": "/cam/image_raw",
        "image/compressed": "/cam/image_raw/compressed",
        "camera_info": "/cam/camera_info",
        "depth": "depth",
    }
    assert detector["arguments"][-2:] == ["--log-level", "debug"]


def test_every_parameter_that_an_argument_sets_is_the_node_s():
    (detector,) = start(
        "detect", model="m", backend="torch", image_transport="raw", use_depth="true",
        autostart="true", use_sim_time="true",
    )  # fmt: skip
    assert set(detector["parameters"][1]) - {"use_sim_time"} < set(Parameters.settings())


def test_rviz_comes_on_request():
    _, rviz = start("detect", rviz="true", namespace="left", use_sim_time="true")
    assert rviz["executable"] == "rviz2"
    assert (rviz["namespace"], rviz["parameters"]) == ("left", [{"use_sim_time": True}])
    assert rviz["arguments"] == [
        *("-d", str(ROOT / "config" / "handmesh.rviz")),
        *("-f", "camera_optical_frame"),
    ]


def test_without_rviz_the_detector_starts_alone_and_it_is_said(tmp_path, monkeypatch):
    pytest.importorskip("ament_index_python", reason="needs ROS 2: run `make test`")
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "launch_ros").touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    path, said = LAUNCH / "detect.launch.py", []
    (detector,) = launch_standin.resolve(path, said, rviz="true")
    assert detector["executable"] == "detector"
    assert said == ["RViz is not installed, so it does not start: apt install ros-DISTRO-rviz2"]
    (detector,) = launch_standin.resolve(path, said := [], rviz="false")
    assert not said
    (index / "rviz2").touch()
    assert len(launch_standin.resolve(path, said := [], rviz="true")) == 2 and not said


def test_with_depth_the_detector_uses_it():
    (detector,) = start("detect_depth", namespace="robot")
    assert detector["parameters"][1] == {"use_depth": True}
    color = "/camera/camera/color"
    assert detector["remappings"]["image"] == f"{color}/image_raw"
    assert detector["remappings"]["camera_info"] == f"{color}/camera_info"
    assert "aligned_depth" in detector["remappings"]["depth"]
    assert detector["namespace"] == "robot"


@pytest.mark.parametrize("loop", ["true", "false"])
def test_replay_plays_the_bag_with_its_clock(loop):
    detector, player = start("replay", bag="walk", rate="0.5", loop=loop)
    assert detector["parameters"][1]["use_sim_time"] is True
    assert player[:6] == ["ros2", "bag", "play", "walk", "--clock", "100"]
    assert player[player.index("--rate") + 1] == "0.5"
    assert ("--loop" in player) == (loop == "true")


def test_replay_needs_a_bag():
    with pytest.raises(AssertionError, match="bag is needed"):
        start("replay")


def test_everything_that_is_launched_is_installed():
    installed = (ROOT / "CMakeLists.txt").read_text()
    assert "DIRECTORY config launch" in installed and "PROGRAMS scripts/detector" in installed
    package = (ROOT / "package.xml").read_text()
    imported = {
        (node.module or "").partition(".")[0]
        for path in LAUNCH.glob("*.launch.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
    }
    for name in imported - {"__future__"}:
        assert f"<exec_depend>{name}</exec_depend>" in package


@pytest.mark.parametrize("path", sorted(LAUNCH.glob("*.launch.py")), ids=lambda path: path.stem)
def test_the_real_launch_has_all_that_the_files_use(path):
    """Keeps the stand-in faithful: the real one resolves the same names."""
    pytest.importorskip("launch_ros", reason="needs launch_ros, which only a ROS 2 machine has")
    from launch.launch_description_sources import (
        get_launch_description_from_python_launch_file,
    )

    description = get_launch_description_from_python_launch_file(str(path))
    names = {argument.name for argument in description.get_launch_arguments()}
    standin = launch_standin.load(path)
    declared = {
        entity.name
        for entity in standin.entities
        if isinstance(entity, launch_standin.DeclareLaunchArgument)
    }
    assert declared <= names

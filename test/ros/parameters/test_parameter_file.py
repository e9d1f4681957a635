"""Parameter files read where no node runs: the defaults, robots' files, mistakes."""

from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="needs PyYAML: run `make test`")

from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.parameters.parameter_file import (
    find_unused_files,
    parse_override,
    read_parameters,
)
from handmesh_ros.ros.parameters.schema import Parameters

ROOT = Path(__file__).resolve().parents[3]


def test_the_installed_file_holds_the_defaults():
    assert read_parameters(ROOT / "config" / "detect.yaml") == Parameters()
    assert read_parameters(None) == Parameters()


def test_a_robot_s_file_with_several_nodes(tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text(
        "/**:\n  ros__parameters:\n    use_sim_time: true\n    max_hands: 1\n"
        "/left/detector:\n  ros__parameters:\n    max_hands: 2\n    smooth: false\n"
        "/left/driver:\n  ros__parameters:\n    max_hands: 9\n"
    )
    overrides = map(parse_override, ["assumed_fov_deg:=70.0", "mesh_color:=side"])
    read = read_parameters(path, overrides)
    assert (read.max_hands, read.smooth) == (2, False)
    assert (read.assumed_fov_deg, read.mesh_color) == (70.0, "side")


def test_what_every_node_has_is_passed_over(tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text(
        "/**:\n  ros__parameters:\n    max_hands: 2\n    start_type_description_service: true\n"
        "    qos_overrides./image.subscription.reliability: reliable\n"
        "    qos_overrides: {/image: {subscription: {depth: 2}}}\n"
    )
    assert read_parameters(path) == Parameters(max_hands=2)


@pytest.mark.parametrize(
    "content",
    [
        "robot:\n  left:\n    detector:\n      ros__parameters: {max_hands: 2}\n",
        "/*:\n  ros__parameters: {max_hands: 2}\n",
    ],
)
def test_sections_are_read_wherever_ros_reads_them(tmp_path, content):
    path = tmp_path / "robot.yaml"
    path.write_text(content)
    assert read_parameters(path).max_hands == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("/**:\n  ros__parameters:\n    max_hands: many\n", "max_hands is 'many'"),
        ("/**:\n  ros__parameters:\n    maximum: 3\n", "no parameter 'maximum'"),
        ("driver:\n  ros__parameters:\n    rate: 3\n", "nothing for the detector"),
        ("just text", "nothing for the detector"),
        ("a: [1", "is no YAML: while parsing"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, content, words):
    path = tmp_path / "parameters.yaml"
    path.write_text(content)
    with pytest.raises(HandmeshError, match=words):
        read_parameters(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_hands=3", "name:=value"),
        ("max_hands:=[3", "quote it"),
        ("maximum:=3", "no parameter 'maximum'"),
        ("score_threshold:=1.5", "give 0 to 1"),
    ],
)
def test_a_wrong_override_is_one_sentence(text, words):
    with pytest.raises(HandmeshError, match=words):
        parse_override(text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(HandmeshError, match=r"nothing\.yaml cannot be read \(No such file"):
        read_parameters(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    ("section", "is_used"),
    [
        ("/**", True),
        ("detector", True),
        ("/detector", False),
        ("/robot/detector", True),
        ("/*/detector", True),
        ("/**/detector", True),
        ("/*/*/detector", False),
        ("/robot/detektor", False),
        ("/left/detector", False),
    ],
)
def test_files_without_a_section_for_the_node_are_found_as_ros_reads_them(
    tmp_path, section, is_used
):
    path = tmp_path / "robot.yaml"
    path.write_text(f"{section}:\n  ros__parameters:\n    max_hands: 1\n")
    node = "/detector" if section == "detector" else "/robot/detector"
    arguments = ["--ros-args", "-p", "a:=1", "--params-file", str(path)]
    sentences = find_unused_files(arguments, [node])
    assert not sentences if is_used else "has nothing for /robot/detector" in sentences[0]


def test_sections_may_stand_in_namespaces_and_one_node_of_several_is_enough(tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text("robot:\n  left:\n    detector:\n      ros__parameters: {max_hands: 1}\n")
    arguments = ["--params-file", str(path)]
    assert not find_unused_files(arguments, ["/robot/right/detector", "/robot/left/detector"])
    assert "only for /robot/left/detector" in find_unused_files(arguments, ["/detector"])[0]
    path.write_text("")
    assert "for no node at all" in find_unused_files(arguments, ["/detector"])[0]

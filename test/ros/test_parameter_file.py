"""Parameter files read where no node runs: the defaults, robots' files, mistakes."""

from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="needs PyYAML: run `make test`")

from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.parameter_file import read_parameters
from handmesh_ros.ros.parameters import Parameters

ROOT = Path(__file__).resolve().parents[2]


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
    read = read_parameters(path, ["assumed_fov_deg:=70.0", "mesh_color:=side"])
    assert (read.max_hands, read.smooth) == (2, False)
    assert (read.assumed_fov_deg, read.mesh_color) == (70.0, "side")


@pytest.mark.parametrize(
    ("content", "override", "words"),
    [
        ("/**:\n  ros__parameters:\n    max_hands: many\n", None, "max_hands is 'many'"),
        ("/**:\n  ros__parameters:\n    maximum: 3\n", None, "no parameter 'maximum'"),
        ("driver:\n  ros__parameters:\n    rate: 3\n", None, "nothing for the detector"),
        ("just text", None, "nothing for the detector"),
        ("a: [1", None, "cannot be read"),
        (None, "max_hands=3", "name:=value"),
        (None, "max_hands:=[3", "quote it"),
        (None, "score_threshold:=1.5", "give 0 to 1"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, content, override, words):
    path = tmp_path / "parameters.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(HandmeshError, match=words):
        read_parameters(path if content is not None else None, [override] if override else [])


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(HandmeshError, match=r"nothing\.yaml cannot be read"):
        read_parameters(tmp_path / "nothing.yaml")

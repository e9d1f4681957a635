"""examples/mujoco_hand.py: a robot hand that points its fingers as a person does, and its GIF."""

import importlib.util
import sys

import numpy as np
import pytest
from PIL import Image

# ruff: noqa: E402
torch = pytest.importorskip("torch", reason="needs the extra [train]")
for package in ("mujoco", "mink"):
    pytest.importorskip(package, reason="needs the extra [sim]")
if not importlib.util.find_spec("gymnasium_robotics"):
    pytest.skip("needs the extra [sim]", allow_module_level=True)

from examples.mujoco_hand import LINKS, WORLD_FROM_CAMERA, RobotHand, main, write_gif
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import LEFT, MIRROR, RIGHT
from handmesh_ros.hand.model import HandModel, mirror_rotations
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.hand.vectors import units
from handmesh_ros.training.synthesis.poses import PROTOTYPES, rotations_from_angles
from handmesh_ros.visualization.draw import project

INTRINSICS = np.array([280.0, 280.0, 159.5, 119.5])
WIDTH, HEIGHT = 320, 240
UPRIGHT = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
"""The model's fingers point to −x and its palm to −y; here up in the image and to the camera."""


def hand_of(pose, side=RIGHT, place=(0.05, 0.08, 0.45)):
    """Returns (21, 3) keypoints of a named pose before the camera."""
    template = HandTemplate.bundled()
    local = rotations_from_angles(PROTOTYPES[pose], template.joint_template)
    is_right = torch.tensor([float(side)])
    rotations = mirror_rotations(torch.from_numpy(local.astype(np.float32))[None], is_right)
    joints = HandModel(template)(rotations, torch.zeros(1, 10), is_right)[1][0].double().numpy()
    turn = UPRIGHT if side == RIGHT else MIRROR @ UPRIGHT @ MIRROR
    return joints @ turn.T + place


@pytest.fixture(scope="module")
def robot():
    robot = RobotHand(INTRINSICS, WIDTH, HEIGHT)
    yield robot
    robot.close()


def link_places(robot):
    """Returns (5, 4, 3) where the links of each finger are in the world."""
    data = robot._configuration.data
    return np.array(
        [
            [
                *(data.body(f"robot0:{link}").xpos for link in links[:3]),
                data.site(f"robot0:{links[3]}").xpos,
            ]
            for links in LINKS.values()
        ]
    )


@pytest.mark.parametrize("pose", PROTOTYPES)
def test_each_link_of_a_finger_points_as_the_bone_does(robot, pose):
    joints = hand_of(pose)
    robot.follow(joints, True)
    places = link_places(robot)
    links = units(places[1:, 1:] - places[1:, :-1])
    chains = joints[1:].reshape(5, 4, 3)[1:] @ WORLD_FROM_CAMERA.T
    bones = units(chains[:, 1:] - chains[:, :-1])
    angles = np.degrees(np.arccos(np.clip((links * bones).sum(-1), -1, 1)))
    # Its joints end at 90°, a fist bends some further.
    assert np.median(angles) < 12 and angles.max() < 25
    fingers, thumb = robot.bone_errors()[3:], robot.bone_errors()[:3]
    assert np.median(fingers) < 0.006 and fingers.max() < 0.015 and thumb.max() < 0.04


def test_joint_angles_close_with_the_fingers_and_stay_in_their_limits(robot):
    names = robot.joint_names
    assert len(names) == 24 and {"WRJ1", "FFJ3", "LFJ4", "THJ0"} <= set(names)
    closing = [
        names.index(f"{finger}J{k}") for finger in ("FF", "MF", "RF", "LF") for k in (0, 1, 2)
    ]
    sums = [robot.follow(hand_of(pose), True)[closing].sum() for pose in ("open", "cup", "fist")]
    assert sums[0] + 1 < sums[1] < sums[2] - 4
    low, high = robot._model.jnt_range.T
    angles = robot.follow(hand_of("fist"), True)
    assert (angles > low - 0.01).all() and (angles < high + 0.01).all()
    still = [names.index("WRJ0"), names.index("WRJ1")]
    assert np.abs(angles[still]).max() < 0.01, "the palm is moved as a whole"


def test_a_left_hand_moves_it_as_its_mirror_image(robot):
    right = robot.follow(hand_of("point", RIGHT, (0.0, 0.08, 0.45)), True)
    left = robot.follow(hand_of("point", LEFT, (0.0, 0.08, 0.45)), False)
    np.testing.assert_allclose(left, right, atol=0.02)


def rendered(robot):
    try:
        return robot.render()
    except HandmeshError as error:
        pytest.skip(str(error))


@pytest.mark.egl
def test_it_is_seen_where_the_hand_is(robot):
    robot.follow(hand_of("open", place=(9.0, 0.08, 0.45)), True)
    empty = rendered(robot).astype(int)
    for place in ((-0.1, 0.08, 0.45), (0.08, 0.1, 0.6)):
        joints = hand_of("open", place=place)
        robot.follow(joints, True)
        seen = np.abs(rendered(robot).astype(int) - empty).max(-1) > 25
        for x, y in project(joints[[5, 9, 13, 6, 10, 14]], INTRINSICS):
            around = seen[round(y) - 10 : round(y) + 11, round(x) - 10 : round(x) + 11]
            assert around.mean() > 0.2
        assert 0.02 < seen.mean() < 0.5


@pytest.mark.egl
def test_the_clip_becomes_a_gif(robot, tmp_path, capsys):
    rendered(robot)
    path = tmp_path / "hand.gif"
    assert main(["--output", str(path), "--seconds", "0.7", "--rate", "5", "--width", "320"]) == 0
    assert f"4 pictures in {path}" in capsys.readouterr().out
    with Image.open(path) as gif:
        assert gif.n_frames == 4 and gif.size == (320, 120) and gif.info["loop"] == 0
        shown = []
        for index in range(gif.n_frames):
            gif.seek(index)
            shown.append(np.asarray(gif.convert("RGB"), int)[:, 160:])
    assert all(picture.std() > 10 for picture in shown), "a robot is in each"
    assert np.abs(shown[0] - shown[-1]).max() > 50, "and it moves"


def test_what_cannot_be_is_one_sentence(tmp_path, capsys):
    picture = tmp_path / "photo.png"
    Image.new("RGB", (64, 48)).save(picture)
    for arguments, words in (
        ([str(picture)], "is a photograph: give a video"),
        ([str(tmp_path / "none.mp4")], "none.mp4"),
        (["--output", str(tmp_path / "hand.mp4")], "no GIF: give a name that ends in .gif"),
    ):
        output = ["--output", str(tmp_path / "hand.gif")] if "--output" not in arguments else []
        assert main([*output, *arguments]) == 1
        said = capsys.readouterr().err.strip().splitlines()
        assert len(said) == 1 and words in said[0]
    assert not (tmp_path / "hand.gif").exists()
    with pytest.raises(HandmeshError, match="no images in the time"):
        write_gif(tmp_path / "hand.gif", iter([]), 10.0, 320)


@pytest.mark.parametrize("package", ["mujoco", "mink"])
def test_a_missing_package_is_one_sentence(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(HandmeshError, match=rf"needs the package {package}.*\.\[sim\]"):
        RobotHand(INTRINSICS, WIDTH, HEIGHT)


def test_a_missing_model_is_one_sentence(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(HandmeshError, match="pip install gymnasium-robotics"):
        RobotHand(INTRINSICS, WIDTH, HEIGHT)

"""A robot hand that copies a person's: HandMeshArray in, JointState out, by dex-retargeting.

The library brings the settings of several hands but not their models:

    pip install dex-retargeting torch six
    git clone https://github.com/dexsuite/dex-urdf
    python3 -m examples.retarget_dexterous_hand --ros-args \
        -p urdf_dir:=dex-urdf/robots/hands -p robot:=allegro -p side:=right

Robots: allegro, shadow, svh, leap, ability, inspire, panda; or `config`, a settings file of your
own. Joint angles go to `joint_states`, stamped with the image's time, only while the hand is seen.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

try:
    import numpy as np
    from rclpy.node import Node
    from sensor_msgs.msg import JointState

    from handmesh_ros.errors import HandmeshError
    from handmesh_ros.hand.conventions import RIGHT, SIDES
    from handmesh_ros.msg import HandMeshArray
    from handmesh_ros.ros.node_utilities import run_node
    from handmesh_ros.ros.parameters.parameter_server import declare
    from handmesh_ros.ros.parameters.parameter_set import ParameterSet, parameter
    from handmesh_ros.teleop.follower import HandFollower
    from handmesh_ros.teleop.retargeting import dex_retargeting_points
except ImportError as error:
    if __name__ != "__main__":
        raise
    sys.exit(
        "retarget_dexterous_hand: a part of ROS 2 or of handmesh_ros is not in this terminal "
        f"({error}): source setup.bash of the workspace, or .colcon/env.sh where `make` has made "
        "one."
    )

NAME = "retarget_dexterous_hand"
MODELS = "https://github.com/dexsuite/dex-urdf"

_at_start = partial(parameter, read_only=True)


@dataclass(frozen=True)
class RetargetParameters(ParameterSet):
    """What is given when the node starts."""

    owner: ClassVar[str] = NAME

    side: str = _at_start("right", "which of the person's hands is copied", choices=SIDES)
    robot: str = _at_start("allegro", "name of a robot hand that dex-retargeting knows")
    urdf_dir: str = _at_start("", "folder with a folder for each robot hand: robots/hands")
    method: str = _at_start(
        "vector", "of dex-retargeting, for `robot`", choices=("vector", "dexpilot")
    )
    config: str = _at_start("", "a settings file of dex-retargeting instead of that of `robot`")


class Retargeter:
    """Turns the keypoints of a hand into the joint angles of a robot hand.

    Args:
        urdf_dir: folder with a folder for each robot hand, such as dex-urdf/robots/hands.
        robot: name of a robot hand that dex-retargeting knows.
        side: LEFT or RIGHT.
        method: "vector" or "dexpilot".
        config: a settings file of dex-retargeting instead of that of `robot`.

    Attributes:
        joint_names: of the robot hand, in the order of its angles.

    Raises:
        HandmeshError: the library, its settings or the robot's model are missing.
    """

    def __init__(
        self, urdf_dir: str, robot: str, side: int, method: str = "vector", config: str = ""
    ) -> None:
        try:
            from dex_retargeting import constants
            from dex_retargeting.retargeting_config import RetargetingConfig
        except ImportError as error:
            raise HandmeshError(
                f"dex-retargeting cannot be imported ({error}): run "
                "`pip install dex-retargeting torch six`."
            ) from error
        if not urdf_dir or not Path(urdf_dir).is_dir():
            raise HandmeshError(
                f"urdf_dir is {urdf_dir!r}, which is no folder, and dex-retargeting brings no "
                f"robot models: run `git clone {MODELS}` and give its folder robots/hands."
            )
        if not config:
            try:
                path = constants.get_default_config_path(
                    constants.RobotName[robot],
                    constants.RetargetingType[method],
                    constants.HandType[SIDES[side]],
                )
            except KeyError as error:
                robots = ", ".join(known.name for known in constants.RobotName)
                raise HandmeshError(
                    f"dex-retargeting does not know {error}: give a robot of {robots} and the "
                    "method vector or dexpilot."
                ) from error
            config = str(path)
        RetargetingConfig.set_default_urdf_dir(str(Path(urdf_dir).resolve()))
        # The hands that come in are smooth already: a second filter would only lag.
        override = {"low_pass_alpha": 1.0}
        try:
            self._retargeting = RetargetingConfig.load_from_file(config, override).build()
        except Exception as error:  # of YAML, URDF, kinematics, or the library's own reading
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise HandmeshError(
                f"The settings {config} cannot be used with the models in {urdf_dir} ({reason}): "
                "give a settings file of dex-retargeting and the models that it names."
            ) from error
        self.joint_names: list[str] = list(self._retargeting.joint_names)
        self._side = side

    def retarget(self, joints: np.ndarray) -> np.ndarray:
        """Return the joint angles of the robot hand, radians.

        Args:
            joints: (21, 3) keypoints of a hand of the right side, metres, any frame.
        """
        points = dex_retargeting_points(joints, self._side == RIGHT)
        optimizer = self._retargeting.optimizer
        indices = optimizer.target_link_human_indices
        if optimizer.retargeting_type == "POSITION":
            return self._retargeting.retarget(points[indices])
        origins, tasks = indices
        return self._retargeting.retarget(points[tasks] - points[origins])


class RetargetNode(Node):
    """Subscribes to `hands`, publishes `joint_states`.

    Raises:
        HandmeshError: a parameter is not possible, or something is missing.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__(NAME, **node_options)
        given = declare(self, RetargetParameters)
        side = SIDES.index(given.side)
        self._retargeter = Retargeter(
            given.urdf_dir, given.robot, side, given.method, given.config
        )
        self._follower = HandFollower(side)
        self._states = self.create_publisher(JointState, "joint_states", 5)
        self.create_subscription(HandMeshArray, "hands", self.on_hands, 1)

    def on_hands(self, message: HandMeshArray) -> None:
        """Publish the robot's joint angles for the hand that is followed."""
        hand = self._follower.follow(message)
        if hand is None:
            return
        angles = self._retargeter.retarget(np.array(hand.joints, float).reshape(21, 3))
        state = JointState(name=self._retargeter.joint_names, position=angles.tolist())
        state.header.stamp = message.header.stamp
        self._states.publish(state)


def main() -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node(NAME, __doc__ or "", RetargetNode)


if __name__ == "__main__":
    sys.exit(main())

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
from pathlib import Path
from typing import Any

try:
    import numpy as np
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from rclpy.node import Node
    from sensor_msgs.msg import JointState

    from handmesh_ros.errors import HandmeshError
    from handmesh_ros.grasp.follower import HandFollower
    from handmesh_ros.hand.conventions import RIGHT, SIDES, WRIST, operator_frame
    from handmesh_ros.msg import HandMeshArray
except ImportError as error:
    if __name__ != "__main__":
        raise
    sys.exit(
        "retarget_dexterous_hand: a part of ROS 2 or of handmesh_ros is not in this terminal "
        f"({error}): source setup.bash of the workspace, or .colcon/env.sh where `make` has made "
        "one."
    )

MODELS = "https://github.com/dexsuite/dex-urdf"


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
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise HandmeshError(
                f"The settings {config} cannot be used with the models in {urdf_dir}: {error}."
            ) from error
        self.joint_names: list[str] = list(self._retargeting.joint_names)
        self._side = side

    def __call__(self, joints: np.ndarray) -> np.ndarray:
        """Return the joint angles of the robot hand, radians.

        Args:
            joints: (21, 3) keypoints of a hand of the right side, metres, any frame.
        """
        frame = operator_frame(joints, self._side == RIGHT)
        points = (joints - joints[WRIST]) @ frame
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
        super().__init__("retarget_dexterous_hand", **node_options)
        defaults = {
            "side": "right",
            "robot": "allegro",
            "urdf_dir": "",
            "method": "vector",
            "config": "",
        }
        given = {name: self.declare_parameter(name, text).value for name, text in defaults.items()}
        if given["side"] not in SIDES:
            raise HandmeshError(f"The side is {given['side']!r}: give left or right.")
        side = SIDES.index(given.pop("side"))
        self._retarget = Retargeter(side=side, **given)
        self._follow = HandFollower(side)
        self._states = self.create_publisher(JointState, "joint_states", 5)
        self.create_subscription(HandMeshArray, "hands", self.on_hands, 1)

    def on_hands(self, message: HandMeshArray) -> None:
        """Publish the robot's joint angles for the hand that is followed."""
        hand = self._follow(message)
        if hand is None:
            return
        angles = self._retarget(np.array(hand.joints, float).reshape(21, 3))
        state = JointState(name=self._retarget.joint_names, position=angles.tolist())
        state.header.stamp = message.header.stamp
        self._states.publish(state)


def main() -> int:
    """Run the node until it is interrupted; return the exit status."""
    rclpy.init()
    try:
        rclpy.spin(RetargetNode())
    except HandmeshError as problem:
        print(f"retarget_dexterous_hand: {problem}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A robot's end effector that follows a wrist while a clutch is engaged: PoseStamped out.

    python3 -m examples.teleop_wrist --ros-args -p side:=right -p clutch:=grasp -p scale:=0.5

The clutch is a gesture (open, pinch, grasp, point) or, with `clutch:=topic`, std_msgs/Bool on
`clutch`, such as a foot pedal. While it is engaged and the hand is seen, `target_pose` moves as
the wrist does; while it is released, it rests. It starts at `position` and `orientation` (x, y, z,
w) in `base_frame`: where the robot is then. `camera_orientation` is that of the camera's optical
frame in `base_frame`; by default the camera looks forward (x forward, z up).
"""

from __future__ import annotations

import math
import sys
from typing import Any

try:
    import numpy as np
    import rclpy
    from geometry_msgs.msg import PoseStamped
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.executors import ExternalShutdownException
    from rclpy.node import Node
    from std_msgs.msg import Bool

    from handmesh_ros.errors import HandmeshError
    from handmesh_ros.grasp.clutch import Clutch
    from handmesh_ros.grasp.follower import HandFollower
    from handmesh_ros.hand.conventions import SIDES
    from handmesh_ros.hand.rotations import matrices, quaternions
    from handmesh_ros.msg import HandMesh, HandMeshArray
except ImportError as error:
    if __name__ != "__main__":
        raise
    sys.exit(
        f"teleop_wrist: a part of ROS 2 or of handmesh_ros is not in this terminal ({error}): "
        "source setup.bash of the workspace, or .colcon/env.sh where `make` has made one."
    )

GESTURES = {
    "open": HandMesh.OPEN,
    "pinch": HandMesh.PINCH,
    "grasp": HandMesh.GRASP,
    "point": HandMesh.POINT,
}

DEFAULTS: dict[str, Any] = {
    "side": "right",
    "clutch": "grasp",
    "scale": 1.0,
    "base_frame": "base_link",
    "position": [0.0, 0.0, 0.0],
    "orientation": [0.0, 0.0, 0.0, 1.0],
    "camera_orientation": [-0.5, 0.5, -0.5, 0.5],
}


class TeleopNode(Node):
    """Subscribes to `hands` (and `clutch`), publishes `target_pose`.

    Raises:
        HandmeshError: a parameter is not possible.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("teleop_wrist", **node_options)
        anything = ParameterDescriptor(dynamic_typing=True)
        given = {
            name: self.declare_parameter(name, value, anything).value
            for name, value in DEFAULTS.items()
        }
        scale = given["scale"]
        if not isinstance(scale, (int, float)) or not 0 < scale < math.inf:
            raise HandmeshError(f"The scale is {scale!r}: give a number above 0.")
        if given["side"] not in SIDES:
            raise HandmeshError(f"The side is {given['side']!r}: give left or right.")
        if given["clutch"] not in (*GESTURES, "topic"):
            raise HandmeshError(
                f"The clutch is {given['clutch']!r}: give topic or one of {', '.join(GESTURES)}."
            )
        self._clutch = Clutch(
            base_rotation=_rotation(given, "camera_orientation"),
            scale=float(scale),
            position=_vector(given, "position", 3),
            rotation=_rotation(given, "orientation"),
        )
        self._gesture, self._base_frame = GESTURES.get(given["clutch"]), given["base_frame"]
        self._pressed = False
        self._track_id = 0
        self._follow = HandFollower(SIDES.index(given["side"]))
        self._poses = self.create_publisher(PoseStamped, "target_pose", 5)
        self.create_subscription(HandMeshArray, "hands", self.on_hands, 1)
        if self._gesture is None:
            self.create_subscription(Bool, "clutch", self.on_clutch, 1)

    def on_clutch(self, message: Bool) -> None:
        """Take the state of the pedal."""
        self._pressed = message.data

    def on_hands(self, message: HandMeshArray) -> None:
        """Move the target pose with the hand that is followed."""
        hand = self._follow(message)
        if hand is None or not self._is_engaged(hand):
            self._clutch.release()
            return
        if hand.track_id != self._track_id:
            self._clutch.release()
            self._track_id = hand.track_id
        place, turn = hand.wrist.pose.position, hand.wrist.pose.orientation
        rotation = matrices(np.array([turn.x, turn.y, turn.z, turn.w]))
        self._clutch.follow(np.array([place.x, place.y, place.z]), rotation)
        self._publish(message)

    def _is_engaged(self, hand: HandMesh) -> bool:
        return self._pressed if self._gesture is None else hand.gesture == self._gesture

    def _publish(self, message: HandMeshArray) -> None:
        target = PoseStamped()
        target.header.stamp, target.header.frame_id = message.header.stamp, self._base_frame
        place, turn = target.pose.position, target.pose.orientation
        place.x, place.y, place.z = self._clutch.position.tolist()
        turn.x, turn.y, turn.z, turn.w = quaternions(self._clutch.rotation).tolist()
        self._poses.publish(target)


def _rotation(given: dict[str, Any], name: str) -> np.ndarray:
    quaternion = _vector(given, name, 4)
    length = np.linalg.norm(quaternion)
    if not length > 0:
        raise HandmeshError(f"{name} is {given[name]}: give a quaternion x, y, z, w.")
    return matrices(quaternion / length)


def _vector(given: dict[str, Any], name: str, count: int) -> np.ndarray:
    try:
        vector = np.array(given[name], float)
    except (TypeError, ValueError):
        vector = np.zeros(0)
    if vector.shape != (count,) or not np.isfinite(vector).all():
        raise HandmeshError(f"{name} is {given[name]!r}: give {count} finite numbers.")
    return vector


def main() -> int:
    """Run the node until it is interrupted; return the exit status."""
    rclpy.init()
    try:
        rclpy.spin(TeleopNode())
    except HandmeshError as problem:
        print(f"teleop_wrist: {problem}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())

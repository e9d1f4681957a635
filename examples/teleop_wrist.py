"""A robot's end effector that follows a wrist while a clutch is engaged: PoseStamped out.

    python3 -m examples.teleop_wrist --ros-args -p side:=right -p clutch:=grasp -p scale:=0.5

The clutch is a gesture (open, pinch, grasp, point) or, with `clutch:=topic`, std_msgs/Bool on
`clutch`, such as a foot pedal. While it is engaged and the hand is seen, `target_pose` moves as
the wrist does; while it is released, it rests. It starts at `position` and `orientation` (x, y, z,
w) in `base_frame`: where the robot is then. `camera_orientation` is that of the camera's optical
frame in `base_frame`; by default the camera looks forward (x forward, z up).

A step that no hand makes (`speed_limit_m_s`, `turn_limit_rad_s`), or that was not seen because
images are missing (`gap_limit_s`), does not move the target: the clutch lets go of the hand, says
so in the log, and follows on from where the hand is then.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

try:
    import numpy as np
    from geometry_msgs.msg import PoseStamped
    from rclpy.node import Node
    from std_msgs.msg import Bool

    from handmesh_ros.errors import HandmeshError
    from handmesh_ros.hand.conventions import SIDES
    from handmesh_ros.hand.rotations import matrices, quaternions
    from handmesh_ros.msg import HandMesh, HandMeshArray
    from handmesh_ros.ros.conversions.stamps import CaptureTimes
    from handmesh_ros.ros.node_utilities import run_node
    from handmesh_ros.ros.pacing import Throttle
    from handmesh_ros.ros.parameters.parameter_server import declare
    from handmesh_ros.ros.parameters.parameter_set import ParameterSet, parameter
    from handmesh_ros.teleop.clutch import Clutch, StepLimits
    from handmesh_ros.teleop.follower import HandFollower
except ImportError as error:
    if __name__ != "__main__":
        raise
    sys.exit(
        f"teleop_wrist: a part of ROS 2 or of handmesh_ros is not in this terminal ({error}): "
        "source setup.bash of the workspace, or .colcon/env.sh where `make` has made one."
    )

NAME = "teleop_wrist"

GESTURES = {
    "open": HandMesh.OPEN,
    "pinch": HandMesh.PINCH,
    "grasp": HandMesh.GRASP,
    "point": HandMesh.POINT,
}

COMPLAINT_PERIOD_S = 5.0
LIMITS = "the parameters speed_limit_m_s, turn_limit_rad_s and gap_limit_s"

_at_start = partial(parameter, read_only=True)
_number = partial(parameter, read_only=True, whole_too=True)


@dataclass(frozen=True)
class TeleopParameters(ParameterSet):
    """What is given when the node starts."""

    owner: ClassVar[str] = NAME

    side: str = _at_start("right", "which of the person's hands is followed", choices=SIDES)
    clutch: str = _at_start(
        "grasp", "the gesture that engages, or the topic `clutch`", choices=(*GESTURES, "topic")
    )
    scale: float = _number(1.0, "target motion over wrist motion", range=(0.001, 1000.0))
    base_frame: str = _at_start("base_link", "frame of the target pose")
    position: tuple[float, ...] = _number(
        (0.0, 0.0, 0.0), "of the target pose at start: x, y, z", unit="m"
    )
    orientation: tuple[float, ...] = _number(
        (0.0, 0.0, 0.0, 1.0), "of the target pose at start: quaternion x, y, z, w"
    )
    camera_orientation: tuple[float, ...] = _number(
        (-0.5, 0.5, -0.5, 0.5),
        "of the camera's optical frame in `base_frame`: quaternion x, y, z, w",
    )
    speed_limit_m_s: float = _number(
        StepLimits.speed_m_s,
        "a step of the wrist that is faster is not followed",
        unit="m/s",
        range=(0.01, 100.0),
    )
    turn_limit_rad_s: float = _number(
        StepLimits.turn_rad_s,
        "a turn of the wrist that is faster is not followed",
        unit="rad/s",
        range=(0.1, 1000.0),
    )
    gap_limit_s: float = _number(
        StepLimits.gap_s,
        "where the hand was not seen for longer, its motion meanwhile is not followed",
        unit="s",
        range=(0.01, 10.0),
    )


class TeleopNode(Node):
    """Subscribes to `hands` (and `clutch`), publishes `target_pose`.

    Raises:
        HandmeshError: a parameter is not possible.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__(NAME, **node_options)
        given = declare(self, TeleopParameters)
        self._clutch = Clutch(
            base_rotation=_rotation(given, "camera_orientation"),
            scale=given.scale,
            position=np.array(given.position),
            rotation=_rotation(given, "orientation"),
            limits=StepLimits(given.speed_limit_m_s, given.turn_limit_rad_s, given.gap_limit_s),
        )
        self._times, self._throttle = CaptureTimes(), Throttle(COMPLAINT_PERIOD_S)
        self._gesture, self._base_frame = GESTURES.get(given.clutch), given.base_frame
        self._pressed = False
        self._track_id = 0
        self._follower = HandFollower(SIDES.index(given.side))
        self._poses = self.create_publisher(PoseStamped, "target_pose", 5)
        self.create_subscription(HandMeshArray, "hands", self.on_hands, 1)
        if self._gesture is None:
            self.create_subscription(Bool, "clutch", self.on_clutch, 1)

    def on_clutch(self, message: Bool) -> None:
        """Take the state of the pedal."""
        self._pressed = message.data

    def on_hands(self, message: HandMeshArray) -> None:
        """Move the target pose with the hand that is followed."""
        now_s = 1e-9 * self.get_clock().now().nanoseconds
        stamp = self._times.correct(message.header.stamp, now_s)
        hand = self._follower.follow(message)
        if hand is None or not self._is_engaged(hand):
            self._clutch.release()
            return
        if hand.track_id != self._track_id:
            self._clutch.release()
            self._track_id = hand.track_id
        place, turn = hand.wrist.pose.position, hand.wrist.pose.orientation
        rotation = matrices(np.array([turn.x, turn.y, turn.z, turn.w]))
        time_s = stamp.sec + 1e-9 * stamp.nanosec
        problem = self._clutch.follow(np.array([place.x, place.y, place.z]), rotation, time_s)
        if problem is not None:
            self._warn(
                f"Let go of the hand, so that the target did not move: {problem}; {LIMITS} say "
                "what is followed."
            )
        self._publish(message)

    def _warn(self, text: str) -> None:
        if self._throttle.allows(text, time.monotonic()):
            self.get_logger().warning(text)

    def _is_engaged(self, hand: HandMesh) -> bool:
        return self._pressed if self._gesture is None else hand.gesture == self._gesture

    def _publish(self, message: HandMeshArray) -> None:
        target = PoseStamped()
        target.header.stamp, target.header.frame_id = message.header.stamp, self._base_frame
        place, turn = target.pose.position, target.pose.orientation
        place.x, place.y, place.z = self._clutch.position.tolist()
        turn.x, turn.y, turn.z, turn.w = quaternions(self._clutch.rotation).tolist()
        self._poses.publish(target)


def _rotation(given: TeleopParameters, name: str) -> np.ndarray:
    quaternion = np.array(getattr(given, name))
    length = np.linalg.norm(quaternion)
    if not length > 0:
        raise HandmeshError(f"The parameter {name} is 0: give a quaternion x, y, z, w.")
    return matrices(quaternion / length)


def main() -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node(NAME, __doc__ or "", TeleopNode)


if __name__ == "__main__":
    sys.exit(main())

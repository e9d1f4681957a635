"""The service calibrate_hand: a user's hand length by ruler or depth, in force and stored."""

from __future__ import annotations

import time

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter

from handmesh_ros.common.home import expand
from handmesh_ros.depth.length import LengthMeasurement, LengthMeter
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import SIDES
from handmesh_ros.ros.calibration.lengths_file import (
    check_length,
    check_writable,
    default_path,
    length_parameter,
    read_lengths,
    store_length,
)
from handmesh_ros.srv import CalibrateHand


class CalibrationService:
    """Offers calibrate_hand on a node, and puts the lengths stored earlier in force.

    Lengths are the node's parameters left_hand_length_m and right_hand_length_m; the stored ones
    take the place of zeros, given at start or later.

    Args:
        node: with the parameters declared.
        meter: knows what depth has measured.
    """

    def __init__(self, node: Node, meter: LengthMeter) -> None:
        self._node, self._meter = node, meter
        given = node.get_parameter("calibration_file").value
        self._path = expand(given) if given else default_path()
        if given:
            try:
                check_writable(self._path)
            except HandmeshError as problem:
                node.get_logger().warning(str(problem))
        # A parameter cannot be set while another is, and Humble does not say when that is over.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._soon = node.create_timer(0.0, self._recall, clock=steady)
        self._recall()
        node.add_on_set_parameters_callback(self._follow)
        node.create_service(CalibrateHand, "calibrate_hand", self._calibrate)

    def _recall(self) -> None:
        """Put the stored lengths in force where no other was given."""
        self._soon.cancel()
        try:
            stored = read_lengths(self._path)
        except HandmeshError as problem:
            self._node.get_logger().warning(str(problem))
            return
        for side, length_m in stored.items():
            if self._node.get_parameter(length_parameter(side)).value == 0.0:
                self._apply(side, length_m)
                self._node.get_logger().info(
                    f"The {side} hand is {length_m:g} m long, as stored in {self._path}"
                )

    def _follow(self, changes: list[Parameter]) -> SetParametersResult:
        if any(change.name in _NAMES and change.value == 0.0 for change in changes):
            self._soon.reset()
        return SetParametersResult(successful=True)

    def _calibrate(
        self, request: CalibrateHand.Request, response: CalibrateHand.Response
    ) -> CalibrateHand.Response:
        try:
            measured = self._measure(request.side, request.length_m)
            damaged = store_length(self._path, request.side, measured.length_m)
            self._apply(SIDES[request.side], measured.length_m)
        except HandmeshError as problem:
            response.message = str(problem)
            return response
        response.success, response.length_m = True, measured.length_m
        response.spread_m, response.sample_count = measured.spread_m, measured.count
        how = f"depth in {measured.count} images" if measured.count else "the length given"
        response.message = (
            f"The {SIDES[request.side]} hand is {measured.length_m:.4f} m long by {how}; "
            f"stored in {self._path}."
        )
        if damaged is not None:
            response.message += (
                f" What was there could not be read, the length of the {SIDES[1 - request.side]} "
                f"hand perhaps among it: it is kept as {damaged}."
            )
        self._node.get_logger().info(response.message)
        return response

    def _measure(self, side: int, length_m: float) -> LengthMeasurement:
        if side >= len(SIDES):
            raise HandmeshError(
                f"The side is {side}: give 0 for the left or 1 for the right hand."
            )
        if length_m == 0.0:
            return self._meter.measure(side, time.monotonic())
        check_length(length_m, f"The length of the {SIDES[side]} hand")
        return LengthMeasurement(length_m, 0.0, 0)

    def _apply(self, side: str, length_m: float) -> None:
        result = self._node.set_parameters([Parameter(length_parameter(side), value=length_m)])[0]
        if not result.successful:
            raise HandmeshError(result.reason)


_NAMES = [length_parameter(side) for side in SIDES]

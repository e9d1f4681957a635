"""Binds sets of parameters to a node: declares them, checks changes, keeps the snapshot."""

from __future__ import annotations

import re
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.parameters.parameter_set import Set, Setting
from handmesh_ros.ros.parameters.schema import Parameters

QOS_PREFIX = "qos_overrides."
"""Such parameters are declared later, with publishers and subscriptions."""

QOS_POLICIES = ("reliability", "depth", "durability")
"""What can be overridden of the detector's subscriptions."""

_QOS = re.compile(
    rf"qos_overrides\.(/parameter_events\.\w+|/clock\.\w+|.+\.subscription\.({'|'.join(QOS_POLICIES)})$)"
)


class ParameterServer:
    """Declares the parameters of the detector and keeps a valid snapshot of them.

    Attributes:
        current: the values in force; a new object after every change.

    Raises:
        HandmeshError: a value given at start is not possible.
    """

    def __init__(self, node: Node) -> None:
        self.current = declare(node, Parameters)
        _warn_of_overrides(node)
        node.add_on_set_parameters_callback(self._on_set)

    def _on_set(self, changes: list[Parameter]) -> SetParametersResult:
        known = Parameters.settings()
        try:
            self.current = self.current.replaced(
                {change.name: change.value for change in changes if change.name in known}
            )
        except HandmeshError as problem:
            return SetParametersResult(successful=False, reason=str(problem))
        return SetParametersResult(successful=True)


def declare(node: Node, kind: type[Set]) -> Set:
    """Declare a set of parameters, and warn of what was given at start that no node has.

    Args:
        node: whose they become.
        kind: the set.

    Returns:
        The values at start.

    Raises:
        HandmeshError: one of them is not possible.
    """
    # rclpy has no public way to what was given at start but not declared.
    given = getattr(node, "_parameter_overrides", {})
    values = {}
    for name, (default, setting) in kind.settings().items():
        try:
            value = node.declare_parameter(name, default, descriptor(default, setting)).value
            problem = kind.find_problem(name, value)
        except (InvalidParameterTypeException, InvalidParameterValueException):
            problem = kind.find_problem(name, given[name].value) if name in given else None
            problem = problem or f"The parameter {name} cannot have the value given."
        if problem is not None:
            raise HandmeshError(problem)
        values[name] = _like(default, value)
    for name in given:
        if not node.has_parameter(name) and not name.startswith(QOS_PREFIX):
            node.get_logger().warning(f"{kind.describe_unknown(name)} What was given is ignored.")
    return kind(**values)


def _warn_of_overrides(node: Node) -> None:
    """Warn of overrides of QoS that the detector does not have."""
    for name in getattr(node, "_parameter_overrides", {}):
        if name.startswith(QOS_PREFIX) and not _QOS.match(name):
            node.get_logger().warning(
                f"{name} is ignored: give qos_overrides.TOPIC.subscription.POLICY with the full "
                f"name of an input topic and one of {', '.join(QOS_POLICIES)}."
            )


def _like(default: Any, value: Any) -> Any:
    """Return a possible value in the type of its default."""
    if isinstance(default, tuple):
        return tuple(float(number) for number in value)
    return float(value) if isinstance(default, float) else value


def descriptor(default: object, setting: Setting) -> ParameterDescriptor:
    """Return the ROS description of a parameter, with unit, range and whether it can change."""
    unit = f" [{setting.unit}]" if setting.unit else ""
    described = ParameterDescriptor(
        description=setting.description + unit,
        additional_constraints=setting.constraint(),
        read_only=setting.read_only,
        # ROS takes no whole numbers for others, also not in arrays, unless it takes everything.
        dynamic_typing=setting.whole_too,
    )
    if setting.range is not None:
        # ROS knows no gaps in a range; the set does.
        low, high = (0.0 if setting.or_zero else setting.range[0]), setting.range[1]
        if isinstance(default, int):
            described.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
        else:
            described.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return described

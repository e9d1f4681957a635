"""Binds the parameter schema to a node: declares it, checks changes, keeps the snapshot."""

from __future__ import annotations

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
from handmesh_ros.ros.parameters import (
    Parameters,
    Setting,
    describe_unknown,
    find_problem,
    settings,
)

QOS_PREFIX = "qos_overrides."
"""Such parameters are declared later, with publishers and subscriptions."""


class ParameterServer:
    """Declares the parameters of a node and keeps a valid snapshot of them.

    Attributes:
        current: the values in force; a new object after every change.

    Raises:
        HandmeshError: a value given at start is not possible.
    """

    def __init__(self, node: Node) -> None:
        # rclpy has no public way to what was given at start but not declared.
        given = getattr(node, "_parameter_overrides", {})
        values = {}
        for name, (default, setting) in settings().items():
            try:
                values[name] = node.declare_parameter(
                    name, default, descriptor(default, setting)
                ).value
            except (InvalidParameterTypeException, InvalidParameterValueException) as error:
                problem = find_problem(name, given[name].value) if name in given else None
                raise HandmeshError(
                    problem or f"The parameter {name} cannot have the value given."
                ) from error
        self.current = Parameters(**values)
        for name in given:
            if not node.has_parameter(name) and not name.startswith(QOS_PREFIX):
                node.get_logger().warning(f"{describe_unknown(name)} What was given is ignored.")
        node.add_on_set_parameters_callback(self._on_set)

    def _on_set(self, changes: list[Parameter]) -> SetParametersResult:
        known = settings()
        try:
            self.current = self.current.replaced(
                {change.name: change.value for change in changes if change.name in known}
            )
        except HandmeshError as problem:
            return SetParametersResult(successful=False, reason=str(problem))
        return SetParametersResult(successful=True)


def descriptor(default: object, setting: Setting) -> ParameterDescriptor:
    """Return the ROS description of a parameter, with unit, range and whether it can change."""
    unit = f" [{setting.unit}]" if setting.unit else ""
    described = ParameterDescriptor(
        description=setting.description + unit,
        additional_constraints=setting.constraint(),
        read_only=setting.read_only,
    )
    if setting.range is not None:
        # ROS knows no gaps in a range; `Parameters` does.
        low, high = (0.0 if setting.or_zero else setting.range[0]), setting.range[1]
        if isinstance(default, int):
            described.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
        else:
            described.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return described

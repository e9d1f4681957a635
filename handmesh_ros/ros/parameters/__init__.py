"""The node's parameters: schema, files, changes at run time."""

from handmesh_ros.ros.parameters.schema import Parameters

__all__ = ["Parameters"]

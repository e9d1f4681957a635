"""Parameters from ROS 2 parameter files and `name:=value` texts, for where no node reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.parameters import Parameters, settings

NODE_NAME = "detector"
SECTION = "ros__parameters"

NOT_OURS = ("use_sim_time", "qos_overrides")
"""Every node has these; where no node runs they mean nothing."""


def read_parameters(path: Path | None, overrides: Sequence[str] = ()) -> Parameters:
    """Return the node's parameters.

    Args:
        path: a parameter file; sections for every node (`/**`) and for nodes named `detector`
            count, in the order of the file, whatever their namespace. None for the defaults.
        overrides: `name:=value`, which win.

    Raises:
        HandmeshError: the file cannot be read, or a name or value is not possible.
    """
    values = {} if path is None else _read_file(path)
    for text in overrides:
        name, separator, value = text.partition(":=")
        if not separator:
            raise HandmeshError(f"The parameter {text!r} is not written as name:=value.")
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise HandmeshError(f"The value in {text!r} cannot be read: quote it.") from error
    unknown = sorted(set(values) - set(settings()))
    if unknown:
        raise HandmeshError(
            f"The detector has no parameter {unknown[0]!r}: docs/parameters.md lists them."
        )
    return Parameters(**values)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HandmeshError(
            f"The parameter file {path} cannot be read: {' '.join(str(error).split())}."
        ) from error
    values: dict[str, Any] = {}
    for name, section in content.items() if isinstance(content, dict) else ():
        applies = str(name).rpartition("/")[2] in ("**", NODE_NAME)
        if applies and isinstance(section, dict) and isinstance(section.get(SECTION), dict):
            values.update(section[SECTION])
    if not values:
        raise HandmeshError(
            f"The parameter file {path} has nothing for the detector: it needs '/**:' or "
            f"'{NODE_NAME}:' with '{SECTION}:' below."
        )
    return {name: value for name, value in values.items() if name not in NOT_OURS}

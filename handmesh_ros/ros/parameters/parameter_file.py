"""Parameters from ROS 2 parameter files and `name:=value` texts, for where no node reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from handmesh_ros.common.files import parse_yaml
from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.parameters.schema import Parameters

NODE_NAME = "detector"
SECTION = "ros__parameters"

NOT_OURS = ("use_sim_time", "qos_overrides", "start_type_description_service")
"""Every node has these; where no node runs they mean nothing."""


def read_parameters(path: Path | None, overrides: Iterable[tuple[str, Any]] = ()) -> Parameters:
    """Return the node's parameters.

    Args:
        path: a parameter file; sections for every node (`/**`, `/*`) and for nodes named
            `detector` count, in the order of the file, whatever their namespace. None for the
            defaults.
        overrides: names and values, which win.

    Raises:
        HandmeshError: the file cannot be read, or a name or value is not possible.
    """
    values = {} if path is None else _read_file(path)
    values.update(overrides)
    unknown = sorted(set(values) - set(Parameters.settings()))
    if unknown:
        raise HandmeshError(Parameters.describe_unknown(unknown[0]))
    return Parameters(**values)


def parse_override(text: str) -> tuple[str, Any]:
    """Return name and value of a parameter that is written as `name:=value`.

    Raises:
        HandmeshError: it is not, or the name or value is not possible.
    """
    name, separator, value = text.partition(":=")
    if not separator:
        raise HandmeshError(f"The parameter {text!r} is not written as name:=value.")
    if name not in Parameters.settings():
        raise HandmeshError(Parameters.describe_unknown(name))
    try:
        parsed = parse_yaml(value)
    except ValueError as error:
        raise HandmeshError(f"The value in {text!r} cannot be read: quote it.") from error
    problem = Parameters.find_problem(name, parsed)
    if problem is not None:
        raise HandmeshError(problem)
    return name, parsed


def check_files(arguments: Sequence[str]) -> None:
    """Check that the parameter files in a command line can be read; ROS is brief about it.

    Args:
        arguments: of the process, such as `--ros-args --params-file robot.yaml`.

    Raises:
        HandmeshError: one of them cannot.
    """
    for value in _files(arguments):
        _load(Path(value))


def find_unused_files(arguments: Sequence[str], node_names: Sequence[str]) -> list[str]:
    """Return a sentence for every parameter file that holds nothing for any of these nodes.

    ROS passes over such a file in silence: a misspelled name looks like parameters without effect.

    Args:
        arguments: of the process, such as `--ros-args --params-file robot.yaml`.
        node_names: fully qualified, such as "/robot/detector".

    Raises:
        HandmeshError: a file cannot be read.
    """
    sentences = []
    for value in _files(arguments):
        sections = [name for name, _ in _sections(_load(Path(value)))]
        if not any(_applies(section, name) for section in sections for name in node_names):
            found = f"only for {', '.join(sections)}" if sections else "for no node at all"
            sentences.append(
                f"The parameter file {value} has nothing for {' or '.join(node_names)} ({found}), "
                f"so the defaults hold: name its section '/**' or {node_names[0]!r}."
            )
    return sentences


def _sections(content: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the full names of the nodes, patterns among them, that a file is for, and what."""
    for name, below in content.items() if isinstance(content, dict) else ():
        path = f"{above}/{str(name).strip('/')}"
        if isinstance(below, dict) and SECTION in below:
            yield path, below[SECTION]
        else:
            yield from _sections(below, path)


def _applies(section: str, node_name: str) -> bool:
    """Return whether ROS uses a section for a node: * is one part of a name, ** any number."""
    parts = {"**": "(/[^/]+)*", "*": "/[^/]+"}
    pattern = "".join(parts.get(part, "/" + re.escape(part)) for part in section.split("/")[1:])
    return re.fullmatch(pattern, node_name) is not None


def _files(arguments: Sequence[str]) -> list[str]:
    pairs = zip(arguments, arguments[1:], strict=False)
    return [value for option, value in pairs if option == "--params-file"]


def _load(path: Path) -> Any:
    try:
        return parse_yaml(path.read_text())
    except OSError as error:
        raise HandmeshError(
            f"The parameter file {path} cannot be read ({error.strerror}): give a YAML file."
        ) from error
    except ValueError as error:
        raise HandmeshError(f"The parameter file {path} is no YAML: {error}.") from error


def _read_file(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, parameters in _sections(_load(path)):
        applies = name.rpartition("/")[2] in ("*", "**", NODE_NAME)
        if applies and isinstance(parameters, dict):
            values.update(parameters)
    if not values:
        raise HandmeshError(
            f"The parameter file {path} has nothing for the detector: it needs '/**:' or "
            f"'{NODE_NAME}:' with '{SECTION}:' below."
        )
    return {
        name: value for name, value in values.items() if name.partition(".")[0] not in NOT_OURS
    }

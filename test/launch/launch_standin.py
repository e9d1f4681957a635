"""A stand-in for the parts of `launch` and `launch_ros` that our launch files use.

It resolves a launch file to the processes that would start, so that the files are tested where
`launch` is missing too. It is as strict as the real one where that caught our mistakes: unknown
keywords, values of parameters that are no substitutions, arguments without a value.
test_launch_files.py runs the real one beside it where it is installed.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml


class Context(dict):
    """Launch configurations, and the processes that start."""

    def __init__(self, root: Path, **given: str) -> None:
        super().__init__(given)
        self.root = root
        self.started: list[Any] = []
        self.said: list[str] = []

    def resolve(self, value: Any) -> str:
        """Perform substitutions; lists of them are joined, as `launch` does."""
        if isinstance(value, str):
            return value
        if isinstance(value, (list, tuple)):
            return "".join(map(self.resolve, value))
        return value.perform(self)


@dataclass
class LaunchConfiguration:
    name: str

    def perform(self, context: Context) -> str:
        assert self.name in context, f"launch configuration {self.name!r} does not exist"
        return context[self.name]


@dataclass
class PathJoinSubstitution:
    parts: list[Any]

    def perform(self, context: Context) -> str:
        return str(Path(*map(context.resolve, self.parts)))


@dataclass
class FindPackageShare:
    package: str

    def perform(self, context: Context) -> str:
        assert self.package == "handmesh_ros"
        return str(context.root)


@dataclass
class IfCondition:
    text: Any
    wanted: bool = True

    def holds(self, context: Context) -> bool:
        text = context.resolve(self.text).lower()
        assert text in ("true", "false", "1", "0"), f"no truth value: {text!r}"
        return (text in ("true", "1")) is self.wanted


def UnlessCondition(text: Any) -> IfCondition:  # noqa: N802
    return IfCondition(text, wanted=False)


@dataclass
class ParameterValue:
    value: Any
    value_type: type

    def perform(self, context: Context) -> Any:
        if isinstance(self.value, str):
            assert self.value_type is str, f"value={self.value!r} is not a {self.value_type}"
        text = context.resolve(self.value)
        value = text if self.value_type is str else yaml.safe_load(text)
        assert isinstance(value, self.value_type)
        return value


@dataclass
class DeclareLaunchArgument:
    name: str
    default_value: Any = None
    description: str = ""

    def execute(self, context: Context) -> None:
        if self.name not in context:
            assert self.default_value is not None, f"the argument {self.name} is needed"
            context[self.name] = context.resolve(self.default_value)


@dataclass(kw_only=True)
class LogInfo:
    msg: str

    def execute(self, context: Context) -> None:
        context.said.append(self.msg)


@dataclass
class OpaqueFunction:
    function: Callable[[Context], Iterable[Any]]

    def execute(self, context: Context) -> Iterable[Any]:
        return self.function(context)


@dataclass
class PythonLaunchDescriptionSource:
    location: Any


@dataclass
class IncludeLaunchDescription:
    source: PythonLaunchDescriptionSource
    launch_arguments: Iterable[tuple[str, Any]] = ()

    def execute(self, context: Context) -> Iterable[Any]:
        for name, value in self.launch_arguments:
            context[name] = context.resolve(value)
        return load(Path(context.resolve(self.source.location))).entities


@dataclass(kw_only=True)
class Node:
    package: str
    executable: str
    namespace: Any = ""
    name: Any = None
    parameters: list[Any] = field(default_factory=list)
    remappings: list[tuple[Any, Any]] = field(default_factory=list)
    arguments: list[Any] = field(default_factory=list)
    output: str = "log"
    condition: IfCondition | None = None

    def execute(self, context: Context) -> None:
        context.started.append(
            {
                "executable": self.executable,
                "namespace": context.resolve(self.namespace),
                "name": context.resolve(self.name or ""),
                "parameters": [self._parameters(context, each) for each in self.parameters],
                "remappings": {
                    context.resolve(old): context.resolve(new) for old, new in self.remappings
                },
                "arguments": [context.resolve(word) for word in self.arguments],
            }
        )

    @staticmethod
    def _parameters(context: Context, given: Any) -> Any:
        if isinstance(given, dict):
            return {name: value.perform(context) for name, value in given.items()}
        return context.resolve(given)


@dataclass(kw_only=True)
class ExecuteProcess:
    cmd: list[Any]
    output: str = "log"
    condition: IfCondition | None = None

    def execute(self, context: Context) -> None:
        context.started.append([context.resolve(word) for word in self.cmd])


@dataclass(kw_only=True)
class OnProcessExit:
    target_action: Any
    on_exit: list[Any]


@dataclass
class RegisterEventHandler:
    handler: OnProcessExit

    def execute(self, context: Context) -> None:
        assert isinstance(self.handler.target_action, ExecuteProcess)


@dataclass(kw_only=True)
class Shutdown:
    reason: str


@dataclass
class LaunchDescription:
    entities: list[Any]


MODULES: dict[str, tuple[Any, ...]] = {
    "launch": (LaunchDescription,),
    "launch.actions": (
        *(DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, OpaqueFunction),
        *(LogInfo, RegisterEventHandler, Shutdown),
    ),
    "launch.conditions": (IfCondition, UnlessCondition),
    "launch.event_handlers": (OnProcessExit,),
    "launch.launch_description_sources": (PythonLaunchDescriptionSource,),
    "launch.substitutions": (LaunchConfiguration, PathJoinSubstitution),
    "launch_ros": (),
    "launch_ros.actions": (Node,),
    "launch_ros.parameter_descriptions": (ParameterValue,),
    "launch_ros.substitutions": (FindPackageShare,),
}


def load(path: Path) -> LaunchDescription:
    """Return the description of a launch file, made of stand-ins."""
    modules = {name: ModuleType(name) for name in MODULES}
    for name, members in MODULES.items():
        for member in members:
            setattr(modules[name], member.__name__, member)
    modules["launch"].LaunchContext = Context  # type: ignore[attr-defined]
    kept = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        return runpy.run_path(str(path))["generate_launch_description"]()
    finally:
        for name, module in kept.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


def resolve(path: Path, said: list[str] | None = None, **given: str) -> list[Any]:
    """Return what a launch file starts: a dict per node, a list of words per other process.

    Args:
        path: of the launch file; its package's share directory is its parent's parent.
        said: gets what the launch file logs.
        given: arguments of the command line.
    """
    context = Context(path.parent.parent, **given)
    _visit(load(path).entities, context)
    if said is not None:
        said += context.said
    return context.started


def _visit(entities: Iterable[Any], context: Context) -> None:
    for entity in entities:
        condition = getattr(entity, "condition", None)
        if condition is None or condition.holds(context):
            _visit(entity.execute(context) or (), context)

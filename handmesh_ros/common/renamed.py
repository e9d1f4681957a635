"""Names of version 0.1 keep working for one release, with a DeprecationWarning each.

Modules by `install`, names within a module by `renamed_names`, attributes by `renamed_attribute`,
objects that were called by `renamed_call`.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

ROOT = "handmesh_ros"

PACKAGES = {
    "commands": ("cli", "cli.training", "media"),
    "grasp": ("teleop",),
    "ros": ("ros.conversions", "ros.publishers", "ros.parameters", "ros.bag", "ros.calibration"),
    "runtime": ("inference", "inference.backends", "inference.backends.tensorrt"),
    "temporal": ("tracking",),
    "training": (
        "training.data",
        "training.engine",
        "training.evaluation",
        "training.export",
        "training.losses",
        "network",
    ),
    "training.datasets": ("training.data", "training.data.readers", "training.data.composition"),
    "view": ("visualization",),
    "": ("common", "media", "cli"),
}
"""Old package: where its modules are now, under the same name."""

MODULES = {
    "commands.frames": "media.sources",
    "commands.places": "common.output_paths",
    "ros.bag_files": "ros.bag.bag_files",
    "ros.frames": "ros.publishers.tf_frames",
    "ros.geometry": "ros.conversions.covariance",
    "ros.pictures": "ros.publishers.visualization",
    "ros.process": "ros.main",
    "ros.processing": "ros.pipeline",
    "ros.program": "ros.node_utilities",
    "ros.wire": "ros.conversions.serialisation",
    "runtime.backend": "inference.backends.selection",
    "runtime.engine_build": "inference.backends.tensorrt.build",
    "runtime.engine_cache": "inference.backends.tensorrt.cache",
    "runtime.engine_runner": "inference.backends.tensorrt.runner",
    "runtime.onnxruntime_backend": "inference.backends.onnxruntime",
    "runtime.openvino_backend": "inference.backends.openvino",
    "runtime.shared_backends": "inference.backends.shared",
    "runtime.tensorrt_backend": "inference.backends.tensorrt.backend",
    "runtime.torch_backend": "inference.backends.torch",
    "runtime.two_looks": "inference.multi_scale",
    "temporal.assignment": "tracking.association",
    "temporal.measurement": "tracking.observation",
    "temporal.pairing": "tracking.linear_assignment",
    "temporal.steady": "tracking.alpha_beta",
    "training.weak_losses": "training.losses.weak",
}
"""Modules that have another name now."""


def new_name(old: str) -> str | None:
    """Return where the module `old` is now; None where that is not known.

    Args:
        old: dotted name without `handmesh_ros.`.
    """
    if old in MODULES:
        return MODULES[old]
    package, _, name = old.rpartition(".")
    for place in PACKAGES.get(package, ()):
        candidate = f"{place}.{name}"
        try:
            if importlib.util.find_spec(f"{ROOT}.{candidate}") is not None:
                return candidate
        except ModuleNotFoundError:
            continue
    return None


class _Loader(importlib.abc.Loader):
    def __init__(self, target: str | None):
        self._target = target

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        if self._target is not None:
            sys.modules[module.__name__] = importlib.import_module(self._target)


class _Finder(importlib.abc.MetaPathFinder):
    """Comes last: it is asked only for modules that nobody else has."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        root, _, old = name.partition(".")
        if root != ROOT or not old:
            return None
        if old in PACKAGES:
            return importlib.machinery.ModuleSpec(name, _Loader(None), is_package=True)
        package = old.rpartition(".")[0]
        found = new_name(old) if package in PACKAGES else None
        if found is None:
            return None
        text = f"{name} is now {ROOT}.{found}: change the import, the old name will go."
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return importlib.machinery.ModuleSpec(name, _Loader(f"{ROOT}.{found}"))


def install() -> None:
    """Let old names be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def renamed_names(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a module's `__getattr__` that finds its old names.

    Args:
        module: name of the module.
        names: the new name of each old one.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        _warn(f"{module}.{name} is now {names[name]}")
        return getattr(sys.modules[module], names[name])

    return find


def renamed_attribute(old: str, new: str) -> property:
    """Return a property that reads the attribute `new` under its name `old`."""

    def read(owner: object) -> Any:
        _warn(f"{type(owner).__name__}.{old} is now {new}")
        return getattr(owner, new)

    return property(read, doc=f"The old name of `{new}`.")


def renamed_call(method: str) -> Callable[..., Any]:
    """Return a `__call__` that calls `method`, for classes whose objects used to be called."""

    def call(self: object, *args: Any, **options: Any) -> Any:
        warn_of_call(self, f"{method}()")
        return getattr(self, method)(*args, **options)

    return call


def warn_of_call(called: object, methods: str) -> None:
    """Warn the caller of a `__call__` that `methods` take its place."""
    _warn(f"A call of a {type(called).__name__} is now {methods}", stacklevel=4)


def _warn(change: str, stacklevel: int = 3) -> None:
    text = f"{change}: change the code, the old name will go."
    warnings.warn(text, DeprecationWarning, stacklevel=stacklevel)

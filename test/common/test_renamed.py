"""Old module names: they are the new modules, with a warning."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from handmesh_ros.common import renamed

OLD = {
    "runtime.estimator": "inference.estimator",
    "runtime.two_looks": "inference.multi_scale",
    "runtime.backend": "inference.backends.selection",
    "temporal.video": "tracking.video",
    "grasp.gestures": "teleop.gestures",
    "view.draw": "visualization.draw",
    "photos": "media.photos",
}


@pytest.mark.parametrize("old", OLD)
def test_an_old_name_is_the_new_module(old, monkeypatch):
    for name in [name for name in sys.modules if name == f"handmesh_ros.{old}"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.warns(DeprecationWarning, match=f"is now handmesh_ros.{OLD[old]}:"):
        module = importlib.import_module(f"handmesh_ros.{old}")
    assert module is importlib.import_module(f"handmesh_ros.{OLD[old]}")
    assert module.__name__ == module.__spec__.name == f"handmesh_ros.{OLD[old]}"


@pytest.mark.parametrize("old", renamed.MODULES)
def test_the_modules_of_the_table_exist(old):
    assert importlib.util.find_spec(f"handmesh_ros.{renamed.MODULES[old]}") is not None


@pytest.mark.parametrize("name", ["runtime.nothing", "nothing", "ros.nothing", "cli.nothing"])
def test_what_never_was_is_missing_as_ever(name):
    with pytest.raises(ModuleNotFoundError, match=name.rpartition(".")[2]):
        importlib.import_module(f"handmesh_ros.{name}")


def test_names_are_imported_as_before():
    code = "from handmesh_ros.runtime.estimator import Estimator; print(Estimator.__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "handmesh_ros.inference.estimator"
    assert done.stderr.count("DeprecationWarning") == 1


class Counter:
    def __init__(self):
        self.total = 0

    def add(self, number, *, times=1):
        self.total += number * times
        return self.total

    __call__ = renamed.renamed_call("add")
    count = renamed.renamed_attribute("count", "total")


def test_an_object_that_was_called_calls_its_method():
    counter = Counter()
    with pytest.warns(DeprecationWarning, match=r"A call of a Counter is now add\(\)") as caught:
        assert counter(2, times=3) == 6
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="Counter.count is now total"):
        assert counter.count == 6


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("inference.multi_scale", "TwoLooks", "MultiScaleDetector"),
        ("inference.multi_scale", "open_looks", "open_multi_scale"),
        ("media.videos", "Frame", "MediaFrame"),
    ],
)
def test_an_old_name_in_a_module_is_the_new_one(module, old, new):
    found = importlib.import_module(f"handmesh_ros.{module}")
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
        assert getattr(found, old) is getattr(found, new)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(found, "nothing")  # noqa: B009

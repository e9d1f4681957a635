"""Command lines of `handmesh replay` that cannot work: they are refused with and without ROS."""

from __future__ import annotations

import pytest

pytest.importorskip("yaml", reason="needs PyYAML: run `make test`")

from handmesh_ros.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-p", "bad"), "argument -p/--param: The parameter 'bad' is not written as name:=value."),
        (("-p", "bad:=1"), "The detector has no parameter 'bad'"),
        (("-p", "max_hands:=many"), "max_hands is 'many'"),
        (("--namespace", "bad name!"), "argument --namespace: The namespace 'bad name!'"),
        (("--fov", "200"), "argument --fov: '200' is not a number from 10 to 170"),
    ],
)
def test_command_lines_that_cannot_work(capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        main(["replay", "walk", *arguments])
    assert stop.value.code == 2
    *usage, error = capsys.readouterr().err.splitlines()
    assert usage[0].startswith("usage: handmesh replay")
    assert error.startswith("handmesh replay: error: ") and message in error

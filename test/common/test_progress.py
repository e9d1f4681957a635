import io
import sys

import pytest

from handmesh_ros.common.progress import progress


def test_the_bar_is_for_terminals_only(capsys):
    pytest.importorskip("tqdm")
    assert list(progress(range(3), "files")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_what_how_many_and_the_unit(monkeypatch):
    pytest.importorskip("tqdm")
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(progress(iter("ab"), "labels", 2, unit="file")) == ["a", "b"]
    assert "labels: 100%" in terminal.getvalue() and "2/2" in terminal.getvalue()
    assert "file/s" in terminal.getvalue()


def test_without_the_package_there_is_no_bar(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert list(progress(range(3), "files")) == [0, 1, 2]

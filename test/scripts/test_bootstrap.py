"""The bootstrap's sentences and stamps; that it works is shown by every `make test`."""

import importlib.util
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bootstrap(monkeypatch, tmp_path) -> ModuleType:
    """The script as a module, at work in an empty folder."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "scripts" / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("VENV", "COLCON"):
        monkeypatch.setattr(module, name, tmp_path / name)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


@pytest.mark.parametrize("version", [(3, 8, 1), (3, 9, 0), (3, 14, 0)])
def test_an_unsupported_python_is_one_sentence(bootstrap, monkeypatch, version):
    monkeypatch.setattr(bootstrap.sys, "version_info", version)
    with pytest.raises(bootstrap.BootstrapError, match=r"3\.10 to 3\.13.*make PYTHON="):
        bootstrap.check_machine()


@pytest.mark.parametrize("missing", ["gcc", "g++", "make"])
def test_a_missing_compiler_is_one_sentence(bootstrap, monkeypatch, missing):
    found = lambda program: None if program == missing else f"/usr/bin/{program}"  # noqa: E731
    monkeypatch.setattr(bootstrap.shutil, "which", found)
    with pytest.raises(bootstrap.BootstrapError, match="apt-get install") as problem:
        bootstrap.check_machine()
    assert missing in str(problem.value)


def test_a_machine_without_wheels_is_one_sentence(bootstrap, monkeypatch):
    monkeypatch.setattr(bootstrap.sys, "platform", "darwin")
    with pytest.raises(bootstrap.BootstrapError, match="install ROS 2"):
        bootstrap.check_machine()


def test_a_failing_step_shows_its_log_and_one_sentence(bootstrap, tmp_path, capsys):
    command = [sys.executable, "-c", "import sys; print('details'); sys.exit(3)"]
    with pytest.raises(bootstrap.BootstrapError, match="is the network up") as problem:
        bootstrap.run(command, tmp_path / "step.log", "pip failed: is the network up?")
    assert "step.log" in str(problem.value)
    assert "details" in capsys.readouterr().err


def test_stamps_follow_the_contents(bootstrap, tmp_path):
    path, stamp = tmp_path / "requirements.txt", tmp_path / "stamp"
    path.write_text("a")
    stamp.write_text(bootstrap.digest([path], "word"))
    assert bootstrap.is_current(stamp, bootstrap.digest([path], "word"))
    assert not bootstrap.is_current(stamp, bootstrap.digest([path], "other"))
    path.write_text("b")
    assert not bootstrap.is_current(stamp, bootstrap.digest([path], "word"))


def test_cmake_files_point_to_this_interpreter(bootstrap):
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    baked = "/opt/python/cp{0}-cp{0}".format(version.replace(".", ""))
    path = bootstrap.VENV / "share" / "package" / "cmake" / "export.cmake"
    path.parent.mkdir(parents=True)
    path.write_text(
        f'"{baked}/include/python{version};{baked}/lib/python{version}/site-packages/x"'
    )
    bootstrap.relocate_cmake_files()
    text = path.read_text()
    assert "/opt/python" not in text
    assert f"{bootstrap.VENV}/lib/python{version}/site-packages/x" in text


def test_makefile_lists_its_targets():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("demo", "test", "lint", "clean"):
        assert f"make {target}" in shown.stdout


def test_a_second_make_waits_for_the_first(bootstrap, capsys):
    order = []

    def second():
        with bootstrap.only_one():
            order.append("second")

    thread = threading.Thread(target=second)
    with bootstrap.only_one():
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert "Waiting for another `make`" in capsys.readouterr().out


def test_ctrl_c_is_one_line(bootstrap, monkeypatch, capsys):
    def interrupt(with_tests):
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "bring_up_to_date", interrupt)
    monkeypatch.setattr(sys, "argv", ["bootstrap.py"])
    assert bootstrap.main() == 130
    assert capsys.readouterr().err == "bootstrap: interrupted\n"

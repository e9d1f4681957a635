"""Run the suite's core with the lowest versions that setup.cfg declares, in a `.venv-floors`.

On Python 3.10, the oldest that is supported, where this machine has it. The core is what runs
without ROS and PyTorch; `--extras train` adds the training with its own lowest versions.
"""

from __future__ import annotations

import argparse
import configparser
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-floors"
OLDEST = "3.10"
EXTRAS = ("openvino", "replay")
TOOLS = ("pytest", "hypothesis", "scipy")
NEEDS_TRAINING = (
    "training",
    "network",
    "hand/test_hand_model.py",
    "test_cli_compose.py",
    "test_cli_convert.py",
    "test_cli_label.py",
)


def floors(extras: Iterable[str]) -> list[str]:
    """Return the requirements of the package and these extras, each at its lowest version.

    Raises:
        ValueError: a requirement has a lower limit in a form that is not known here.
    """
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].split("\n")
    for extra in extras:
        lines += config["options.extras_require"][extra].split("\n")
    return [lowest(line) for line in dict.fromkeys(lines) if line.strip()]


def lowest(requirement: str) -> str:
    """Return a requirement at its lowest version: "numpy>=1.24" becomes "numpy==1.24".

    Raises:
        ValueError: it has a lower limit in a form that is not known here.
    """
    found = re.fullmatch(r"([\w.-]+)(?:>=([\w.]+))?(?:\s*;.*)?", requirement.strip())
    if found is None:
        raise ValueError(f"{requirement!r} is not NAME>=VERSION")
    name, version = found.groups()
    return f"{name}=={version}" if version else name


def oldest_python() -> str:
    """Return the interpreter to test with: Python 3.10, else this one, and say which."""
    name = f"python{OLDEST}"
    path = shutil.which(name)
    # A launcher of that name may be there without the interpreter.
    if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
        return path
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    print(f"This machine has no {name}, so the floors are tested on Python {version}.", flush=True)
    return sys.executable


def main() -> int:
    """Make the environment and run the tests; return pytest's exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", help=f"interpreter (python{OLDEST}, else this one)")
    parser.add_argument("--extras", nargs="*", default=[], help=f"beside {', '.join(EXTRAS)}")
    parser.add_argument("--pytest", default="", help="arguments of pytest")
    args = parser.parse_args()
    wanted = floors([*EXTRAS, *args.extras])
    if "train" not in args.extras:  # The tests write graphs with it.
        wanted += [each for each in floors(["train"]) if each.startswith("onnx==")]
    python = VENV / "bin" / "python"
    interpreter = args.python or oldest_python()
    subprocess.run([interpreter, "-m", "venv", "--clear", VENV], check=True)
    print(f"Installing {', '.join(wanted)} …", flush=True)
    install: list[str | Path] = [python, "-m", "pip", "install", "--quiet", *wanted, *TOOLS]
    if subprocess.run(install).returncode:
        print("test-floors: these versions cannot be installed together.", file=sys.stderr)
        return 1
    ignored = [] if "train" in args.extras else NEEDS_TRAINING
    tests: list[str | Path] = [
        python,
        "-m",
        "pytest",
        "test",
        *(f"--ignore=test/{name}" for name in ignored),
    ]
    # Nothing of ROS or of another environment: the search path is the repository alone.
    environment = {"PATH": f"{VENV / 'bin'}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    return subprocess.run([*tests, *args.pytest.split()], cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())

"""The `handmesh` command: one table of subcommands, each imported when it is used."""

from __future__ import annotations

import argparse
import importlib
import io
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, ModuleType

from handmesh_ros import __version__
from handmesh_ros.common.imports import explain, plain_errors
from handmesh_ros.errors import HandmeshError

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)

INTERRUPT_PERIOD_S = 1.0
"""Signals that come so soon after one that interrupted change nothing."""


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        module: has `add_arguments(parser)` and `run(args) -> int | None`; `run` may raise
            `argparse.ArgumentError` for options that do not go together. What the runtime alone
            does not bring is imported by `run`, so that `--help` works without it.
        help: one line.
        extra: the pip requirement that brings everything the module imports.
    """

    module: str
    help: str
    extra: str = "."


COMMANDS = {
    "detect": Command("handmesh_ros.cli.detect", "find hands in photos, folders and videos"),
    "report": Command(
        "handmesh_ros.cli.report", "write a page of the hands found and how good they are"
    ),
    "annotate": Command(
        "handmesh_ros.cli.annotate",
        "hands of many videos as Parquet tables, resumable",
        ".[table]",
    ),
    "doctor": Command("handmesh_ros.cli.doctor", "say what is installed and what is missing"),
    "bench": Command("handmesh_ros.cli.bench", "measure the speed of the stages and backends"),
    "replay": Command(
        "handmesh_ros.cli.replay",
        "run the node's processing over a recorded bag (needs ROS 2)",
        ".[replay]",
    ),
    "engine": Command(
        "handmesh_ros.cli.engine", "build and verify engines for NVIDIA GPUs (TensorRT)"
    ),
    "synthesize": Command(
        "handmesh_ros.cli.training.synthesize",
        "render training images with exact truth",
        ".[train]",
    ),
    "compose": Command(
        "handmesh_ros.cli.training.compose",
        "make training images of labelled photographs",
        ".[train]",
    ),
    "label": Command(
        "handmesh_ros.cli.training.label",
        "label the hands of a folder of photographs",
        ".[label]",
    ),
    "convert": Command(
        "handmesh_ros.cli.training.convert",
        "turn a published data set into training shards",
        ".[train]",
    ),
    "train": Command("handmesh_ros.cli.training.train", "train the network", ".[train]"),
    "train-refinement": Command(
        "handmesh_ros.cli.training.train_refinement",
        "train the network that reads each hand's crop",
        ".[train]",
    ),
    "evaluate": Command(
        "handmesh_ros.cli.training.evaluate",
        "measure a model on labelled images",
        ".[train]",
    ),
    "export": Command(
        "handmesh_ros.cli.training.export",
        "turn a checkpoint into an .onnx with its sidecar",
        ".[train]",
    ),
    "quantize": Command(
        "handmesh_ros.cli.training.quantize",
        "turn an .onnx into one with int8 convolutions",
        ".[train]",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    0 is success, 1 a problem that is named in one sentence, 2 a wrong command line, 130 Ctrl-C or
    SIGTERM, as services and batch systems send it.
    """
    if threading.current_thread() is threading.main_thread():
        interrupt = _Interrupt()
        for number in INTERRUPTS:
            signal.signal(number, interrupt)
    arguments = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # Names of files may be any bytes.
    try:
        return _run(arguments)
    except HandmeshError as error:
        print(f"handmesh: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("handmesh: interrupted", file=sys.stderr)
        if argv is None:
            # Nothing is left to do, and Python takes its own handlers away before it ends.
            for number in INTERRUPTS:
                signal.signal(number, signal.SIG_IGN)
        return 130
    except UnicodeDecodeError as error:
        print(f"handmesh: A file that should be text is not UTF-8 ({error}).", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output is gone; keep the interpreter from flushing into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"handmesh: Cannot use {place}{error.strerror or error}.", file=sys.stderr)
        return 1


class _Interrupt:
    """Handler of signals: `KeyboardInterrupt`, once for several that come at short intervals.

    What is being cleaned up after the first one is not disturbed by the others.
    """

    def __init__(self) -> None:
        self._raised_s = -math.inf

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if now_s - self._raised_s > INTERRUPT_PERIOD_S:
            self._raised_s = now_s
            raise KeyboardInterrupt


class _Parser(argparse.ArgumentParser):
    """A parser that refuses options that it does not know itself, with its own usage."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[override]
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown


def _run(arguments: list[str]) -> int:
    parser = _Parser(prog="handmesh", description="Several hands at once, as 3D meshes in metres.")
    parser.add_argument("--version", action="version", version=f"handmesh_ros {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    name = next((argument for argument in arguments if not argument.startswith("-")), None)
    chosen, module = parser, ModuleType("")
    for command_name, command in COMMANDS.items():
        subparser = subparsers.add_parser(command_name, help=command.help)
        if command_name == name:
            with _missing_packages_named(command_name), plain_errors():
                chosen, module = subparser, importlib.import_module(command.module)
                subparser.description = module.__doc__.partition("\n")[0] if module.__doc__ else ""
                module.add_arguments(subparser)
    try:
        with _missing_packages_named(name or ""):
            args = parser.parse_args(arguments)  # Some values need a package to be read.
            return module.run(args) or 0
    except argparse.ArgumentError as error:
        chosen.error(str(error))


@contextmanager
def _missing_packages_named(name: str) -> Iterator[None]:
    """Turn the error of a package that is not installed, or does not load, into one sentence."""
    try:
        yield
    except ImportError as error:
        problem = explain(error, f"`handmesh {name}`", COMMANDS[name].extra)
        if problem is None:
            raise
        raise problem from error


if __name__ == "__main__":
    sys.exit(main())

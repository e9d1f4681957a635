"""Utilities of the programs that run nodes: every error ends them with one sentence."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType

import rclpy
from rclpy.exceptions import NameValidationException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.parameters.parameter_file import check_files, find_unused_files

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
_interrupted = threading.Event()

_MIXED = "Sequence should be of same type"
"""ROS's message about a list such as [0.4, 0, 0.3]."""


def run_program(name: str, work: Callable[[], int]) -> int:
    """Run a program; return its exit status, and print one sentence if it fails.

    Args:
        name: of the program; begins the sentence.
        work: initialises rclpy and returns the exit status.
    """
    try:
        return work()
    except (HandmeshError, NameValidationException) as problem:
        print(f"{name}: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        rclpy.try_shutdown()
        if signal.getsignal(signal.SIGINT) is _pass_over:
            # Python takes its own handlers away before the process is gone, but not this one.
            for number in INTERRUPTS:
                signal.signal(number, signal.SIG_IGN)


def initialise(words: Sequence[str]) -> None:
    """Initialise rclpy so that the first interrupt is a `KeyboardInterrupt` of the main thread.

    rclpy's own handlers shut ROS down at any moment: what is being made or said then fails.

    Args:
        words: the command line, without the program.

    Raises:
        HandmeshError: ROS cannot start.
    """
    try:
        rclpy.init(args=list(words), signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # Among them rclpy's private class.
        reason = re.sub(r", at \S+:\d+", "", str(error)).rstrip(".")
        raise HandmeshError(
            f"ROS cannot start ({reason}): where its logs have no place, set ROS_LOG_DIR to a "
            "folder that you can write to."
        ) from error
    _interrupted.clear()
    for number in INTERRUPTS:
        signal.signal(number, _interrupt)


def is_interrupted() -> bool:
    """Return whether the process was asked to end.

    A `KeyboardInterrupt` that comes while Python frees an object is lost; this is not.
    """
    return _interrupted.is_set()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Interrupt once: a second Ctrl-C, or that of `ros2 launch`, must not break the good-bye."""
    _interrupted.set()
    for each in INTERRUPTS:
        # Not SIG_IGN: Python complains of a signal that came just before that was set.
        signal.signal(each, _pass_over)
    raise KeyboardInterrupt


def _pass_over(number: int, frame: FrameType | None) -> None:
    """Do nothing."""


def own_arguments(words: Sequence[str]) -> list[str]:
    """Return the arguments of the command line that are not for ROS.

    Args:
        words: all of them, without the program.

    Raises:
        HandmeshError: ROS cannot use its own.
    """
    check_files(words)
    try:
        return remove_ros_args(["program", *words])[1:]
    except Exception as error:  # a private class of rclpy's; it quotes the argument
        reason = re.sub(r", at \S+:\d+", "", str(error)).rstrip(".")  # lines of rcl's source
        advice = ": write all numbers of a list with a decimal point" if _MIXED in reason else ""
        raise HandmeshError(f"ROS cannot use these arguments ({reason}){advice}.") from error


_NAMESPACE_RULE = re.compile(r"(?:(?P<node>[^:]*):)?__ns:=(?P<namespace>.+)")


def pushed_namespace(words: Sequence[str], node_name: str) -> str:
    """Return the namespace that a node is moved to from outside, as launch does; "/" for none.

    Args:
        words: the command line, without the program.
        node_name: that a rule may be for.
    """
    for flag, rule in zip(words, words[1:], strict=False):
        found = _NAMESPACE_RULE.fullmatch(rule) if flag in ("-r", "--remap") else None
        if found and found["node"] in (None, "", node_name):
            return f"/{found['namespace'].strip('/')}"
    return "/"


def warn_of_unused_files(words: Sequence[str], nodes: Sequence[Node]) -> None:
    """Let the first node warn of parameter files that hold nothing for any of them."""
    for problem in find_unused_files(words, [node.get_fully_qualified_name() for node in nodes]):
        nodes[0].get_logger().warning(problem)


def run_node(name: str, description: str, make: Callable[[], Node]) -> int:
    """Run a program of one node, without options of its own, until it is interrupted.

    Args:
        name: of the program.
        description: what `--help` prints.
        make: the node.

    Returns:
        The exit status.
    """
    words = sys.argv[1:]

    def work() -> int:
        argparse.ArgumentParser(
            prog=name,
            usage="%(prog)s [-h] [--ros-args -p NAME:=VALUE ...]",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        ).parse_args(own_arguments(words))
        try:
            initialise(words)
            # Before the node says anything: one that an interrupt leaves half made complains.
            executor = SingleThreadedExecutor()
            node = make()
            warn_of_unused_files(words, [node])
            executor.add_node(node)
            while rclpy.ok() and not is_interrupted():
                executor.spin_once(timeout_sec=0.5)
        except (KeyboardInterrupt, ExternalShutdownException):
            pass
        return 0

    return run_program(name, work)

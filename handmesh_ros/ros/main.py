"""The detector's process: one detector, or several that share one model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from handmesh_ros.common.arguments import checked, namespace
from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.shared import SharedBackends
from handmesh_ros.ros.node import DetectorNode, load_estimator
from handmesh_ros.ros.node_utilities import (
    initialise,
    is_interrupted,
    own_arguments,
    pushed_namespace,
    run_program,
    warn_of_unused_files,
)


def main(arguments: list[str] | None = None) -> int:
    """Run the detectors until they are interrupted; return the exit status.

    Args:
        arguments: of the command line, without the program; None takes those of this process.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return run_program("detector", partial(_start, words))


def _start(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="detector", description=__doc__)
    parser.add_argument(
        "--namespaces",
        nargs="+",
        type=checked(namespace),
        metavar="NAMESPACE",
        help="one detector in each, for several cameras; all share one model",
    )
    options = parser.parse_args(own_arguments(words))
    initialise(words)  # The nodes say good-bye (markers, model) before ROS is gone.
    return _run(options.namespaces or [None], words)


def _make_nodes(
    namespaces: Sequence[str | None], words: Sequence[str], nodes: list[DetectorNode]
) -> None:
    """Append a detector for each namespace; they stand below one that is pushed from outside.

    ROS would move every node of a process to that one, so that all became the same.

    Raises:
        HandmeshError: two of them would have one name.
    """
    load = partial(load_estimator, opener=SharedBackends().open)
    pushed = pushed_namespace(words, "detector")
    # A namespace that begins with / stays what it is.
    places = [None if name is None else str(PurePosixPath(pushed, name)) for name in namespaces]
    _check_different(places, "would be in")
    for place in places:
        own = [] if place is None else ["--ros-args", "-r", f"__ns:={place}"]
        nodes.append(DetectorNode(load, namespace=place, cli_args=own))
    _check_different([node.get_fully_qualified_name() for node in nodes], "are called")
    frames = [node.parameters.tf_prefix for node in nodes if node.parameters.publish_tf]
    if len(set(frames)) < len(frames):
        nodes[0].get_logger().warning(
            "Two detectors send frames of the same names to /tf: give each a tf_prefix of its own."
        )


def _check_different(names: Sequence[str | None], what: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise HandmeshError(
            f"--namespaces has one twice: two detectors {what} {twice}, each needs its own."
        )


def _run(namespaces: Sequence[str | None], words: Sequence[str]) -> int:
    nodes: list[DetectorNode] = []
    # One thread receives for all of them; each has a worker of its own that finds hands.
    executor = SingleThreadedExecutor()
    try:
        _make_nodes(namespaces, words, nodes)
        for node in nodes:
            executor.add_node(node)
        warn_of_unused_files(words, nodes)
        if not all(node.start() for node in nodes if node.parameters.autostart):
            return 1
        while rclpy.ok() and not is_interrupted():
            try:
                executor.spin_once(timeout_sec=0.5)
            except (ExternalShutdownException, KeyboardInterrupt):
                break
            except Exception as error:
                # Of a service's caller, say: the detectors go on.
                nodes[0].get_logger().error(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        pass
    finally:
        for node in nodes:
            node.stop()
        executor.shutdown()
        for node in nodes:
            node.destroy_node()
    return 0

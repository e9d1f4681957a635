"""The detector's process: one detector, or several that share one model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from handmesh_ros.arguments import checked, namespace
from handmesh_ros.errors import HandmeshError
from handmesh_ros.ros.node import DetectorNode, load_estimator
from handmesh_ros.ros.program import initialise, own_arguments, run_program, warn_of_unused_files
from handmesh_ros.runtime.shared_backends import SharedBackends


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
    names = [name.strip("/") for name in options.namespaces or ()]
    if len(set(names)) < len(names):
        raise HandmeshError("--namespaces has one twice: each needs its own.")
    initialise(words)  # The nodes say good-bye (markers, model) before ROS is gone.
    return _run(options.namespaces or [None], words)


def _run(namespaces: Sequence[str | None], words: Sequence[str]) -> int:
    load = partial(load_estimator, opener=SharedBackends().open)
    nodes: list[DetectorNode] = []
    # One thread receives for all of them; each has a worker of its own that finds hands.
    executor = SingleThreadedExecutor()
    try:
        for namespace in namespaces:
            nodes.append(DetectorNode(load, namespace=namespace))
            executor.add_node(nodes[-1])
        warn_of_unused_files(words, nodes)
        if not all(node.start() for node in nodes if node.parameters.autostart):
            return 1
        while rclpy.ok():
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

"""`python -m handmesh_ros.ros` and `ros2 run handmesh_ros detector`."""

from __future__ import annotations

import sys

from handmesh_ros.common.imports import GET_MESSAGES, plain_errors, remedy

_INSTALL = "run `rosdep install --from-paths src -y --ignore-src` in the workspace"


def main() -> int:
    """Run the detector node; return the exit status.

    What is missing on this machine is reported in one sentence.
    """
    try:
        with plain_errors():
            from handmesh_ros.ros.main import main as run

        return run()
    except ImportError as error:
        print(f"detector: {explain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before there was anything to stop
        return 0


def explain(error: ImportError) -> str:
    """Return what is missing on this machine, in one sentence."""
    module = error.name or ""
    if module == "rclpy":
        return (
            "ROS 2 is not in this terminal (there is no rclpy): source its setup.bash, or use "
            "`make demo`, which needs no ROS."
        )
    if module.startswith("rclpy."):
        return (
            f"rclpy is of another Python than {sys.version_info[0]}.{sys.version_info[1]}: run "
            "the interpreter that belongs to this ROS 2."
        )
    if module.startswith("handmesh_ros.msg"):
        return (
            "The messages of handmesh_ros are not built or not in this terminal: run "
            f"{GET_MESSAGES}."
        )
    reason = " ".join(str(error).split())
    return f"A package is missing or broken ({reason}): {remedy(reason, _INSTALL)}."


if __name__ == "__main__":
    sys.exit(main())

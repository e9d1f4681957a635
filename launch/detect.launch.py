"""The detector, brought to the active state, and RViz on request.

    ros2 launch handmesh_ros detect.launch.py image:=/camera/color/image_raw \
        camera_info:=/camera/color/camera_info rviz:=true

Arguments left empty keep the value of `params_file`.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription, actions
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

PACKAGE = "handmesh_ros"

ARGUMENTS = {
    "namespace": ("", "of the node and its topics"),
    "name": ("detector", "of the node"),
    "image": ("image", "topic of the camera images; image_transport adds its own ending"),
    "camera_info": ("camera_info", "topic of the calibration"),
    "depth": ("depth", "topic of depth images that are aligned with the image"),
    "params_file": (
        PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "detect.yaml"]),
        "YAML file with the node's parameters",
    ),
    "model": ("", "name of a bundled model or path, NAME.onnx"),
    "detail_model": ("", "a second one for small hands, such as mobile_512"),
    "backend": ("", "auto, tensorrt, tensorrt_rtx, onnxruntime, openvino, openvino_bf16 or torch"),
    "image_transport": ("", "raw or compressed"),
    "use_depth": ("", "true or false: take the hands' size from depth images"),
    "autostart": ("", "false leaves configuring and activating to a lifecycle manager"),
    "use_sim_time": ("", "true takes the time from /clock, as bags play it"),
    "log_level": ("info", "debug, info, warn or error"),
    "rviz": ("false", "also open RViz, where it is installed"),
    "fixed_frame": ("camera_optical_frame", "frame that RViz draws in"),
}

TEXTS = ("model", "detail_model", "backend", "image_transport")
SWITCHES = ("use_depth", "autostart", "use_sim_time")


def make_nodes(context: LaunchContext) -> list[Node | actions.LogInfo]:
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    kinds = {**dict.fromkeys(TEXTS, str), **dict.fromkeys(SWITCHES, bool)}
    parameters = {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, kind in kinds.items()
        if given[name]
    }
    detector = Node(
        package=PACKAGE,
        executable="detector",
        namespace=given["namespace"],
        name=given["name"],
        parameters=[given["params_file"], parameters],
        remappings=[
            ("image", given["image"]),
            ("image/compressed", f"{given['image']}/compressed"),
            ("camera_info", given["camera_info"]),
            ("depth", given["depth"]),
        ],
        arguments=["--ros-args", "--log-level", given["log_level"]],
        output="screen",
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=given["namespace"],
        parameters=[{name: parameters[name] for name in ("use_sim_time",) if name in parameters}],
        arguments=[
            *("-d", PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "handmesh.rviz"])),
            *("-f", given["fixed_frame"]),
        ],
        # The RViz file holds absolute names; here they become those of our namespace.
        remappings=[(f"/handmesh/{topic}", topic) for topic in ("markers", "overlay")],
        condition=IfCondition(given["rviz"]),
    )
    if given["rviz"].lower() in ("true", "1") and is_missing("rviz2"):
        missing = "RViz is not installed, so it does not start: apt install ros-DISTRO-rviz2"
        return [detector, actions.LogInfo(msg=missing)]
    return [detector, rviz]


def is_missing(package: str) -> bool:
    """Return whether a package is not installed, as far as the index knows what launch needs."""
    try:
        from ament_index_python.packages import get_packages_with_prefixes

        installed = get_packages_with_prefixes()
    except (ImportError, OSError):  # There is no index.
        return False
    return "launch_ros" in installed and package not in installed


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in ARGUMENTS.items()
            ),
            OpaqueFunction(function=make_nodes),
        ]
    )

"""The detector, brought to the active state, and RViz on request.

    ros2 launch handmesh_ros detect.launch.py image:=/camera/color/image_raw \
        camera_info:=/camera/color/camera_info rviz:=true

Arguments left empty keep the value of `params_file`.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
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
    "params_file": (
        PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "detect.yaml"]),
        "YAML file with the node's parameters",
    ),
    "model": ("", "path of a trained model, NAME.onnx"),
    "backend": ("", "auto, tensorrt, onnxruntime, openvino, torch, …"),
    "image_transport": ("", "raw or compressed"),
    "autostart": ("true", "false leaves configuring and activating to a lifecycle manager"),
    "use_sim_time": ("false", "take the time from /clock, as bags play it"),
    "log_level": ("info", "debug, info, warn or error"),
    "rviz": ("false", "also open RViz"),
    "fixed_frame": ("camera_optical_frame", "frame that RViz draws in"),
}

TEXTS, SWITCHES = ("model", "backend", "image_transport"), ("autostart", "use_sim_time")


def make_detector(context: LaunchContext) -> list[Node]:
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    texts = {name: given[name] for name in TEXTS if given[name]}
    parameters = {name: ParameterValue(text, value_type=str) for name, text in texts.items()}
    for name in SWITCHES:
        parameters[name] = ParameterValue(LaunchConfiguration(name), value_type=bool)
    return [
        Node(
            package=PACKAGE,
            executable="detector",
            namespace=given["namespace"],
            name=given["name"],
            parameters=[given["params_file"], parameters],
            remappings=[
                ("image", given["image"]),
                ("image/compressed", f"{given['image']}/compressed"),
                ("camera_info", given["camera_info"]),
            ],
            arguments=["--ros-args", "--log-level", given["log_level"]],
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=[
            "-d",
            PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "handmesh.rviz"]),
            "-f",
            LaunchConfiguration("fixed_frame"),
        ],
        # The RViz file holds absolute names; here they become those of our namespace.
        remappings=[(f"/handmesh/{topic}", topic) for topic in ("markers", "overlay")],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in ARGUMENTS.items()
            ),
            OpaqueFunction(function=make_detector),
            rviz,
        ]
    )

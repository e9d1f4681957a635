"""The detector with metric size from an RGB-D camera: detect.launch.py with depth.

    ros2 launch handmesh_ros detect_depth.launch.py

The topics are those of a RealSense camera that was started with `align_depth.enable:=true`; every
argument of detect.launch.py can be given.
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

CAMERA = "/camera/camera"

ARGUMENTS = {
    "image": (f"{CAMERA}/color/image_raw", "topic of the camera images"),
    "camera_info": (f"{CAMERA}/color/camera_info", "topic of their calibration"),
    "depth": (
        f"{CAMERA}/aligned_depth_to_color/image_raw",
        "topic of depth images that are aligned with the image",
    ),
}


def generate_launch_description() -> LaunchDescription:
    detect = PathJoinSubstitution([FindPackageShare("handmesh_ros"), "launch", "detect.launch.py"])
    given = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in ARGUMENTS.items()
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(detect),
                launch_arguments={**given, "use_depth": "true"}.items(),
            ),
        ]
    )

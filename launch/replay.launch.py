"""Plays a bag to the detector at its own pace, with the bag's time; ends with the bag.

    ros2 launch handmesh_ros replay.launch.py bag:=walk image:=/camera/color/image_raw \
        camera_info:=/camera/color/camera_info rviz:=true

Every argument of detect.launch.py can be given. For results without gaps, the same each time and
as fast as the machine can, use `handmesh replay` instead.
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    RegisterEventHandler,
    Shutdown,
)
from launch.conditions import IfCondition, UnlessCondition
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

START_DELAY_S = "3.0"
"""For the detector to load its model: a bag does not wait for subscribers."""


def generate_launch_description() -> LaunchDescription:
    detect = PathJoinSubstitution([FindPackageShare("handmesh_ros"), "launch", "detect.launch.py"])
    arguments = (
        DeclareLaunchArgument("bag", description="rosbag2 folder"),
        DeclareLaunchArgument("rate", default_value="1.0", description="speed of playing"),
        DeclareLaunchArgument("loop", default_value="false", description="play again and again"),
    )
    play = [
        *("ros2", "bag", "play", LaunchConfiguration("bag"), "--clock", "100"),
        *("--rate", LaunchConfiguration("rate"), "--delay", START_DELAY_S),
    ]
    loop = LaunchConfiguration("loop")
    once = ExecuteProcess(cmd=play, output="screen", condition=UnlessCondition(loop))
    forever = ExecuteProcess(cmd=[*play, "--loop"], output="screen", condition=IfCondition(loop))
    at_the_end = [Shutdown(reason="the bag has been played")]
    return LaunchDescription(
        [
            *arguments,
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(detect),
                launch_arguments={"use_sim_time": "true"}.items(),
            ),
            RegisterEventHandler(OnProcessExit(target_action=once, on_exit=at_the_end)),
            once,
            forever,
        ]
    )

"""`pip install .`: the library, the `handmesh` command and, with [train], the training package.

ROS 2 builds do not use this file: colcon reads package.xml and CMakeLists.txt.
"""

from setuptools import setup

setup()

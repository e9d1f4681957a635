"""Hands to look at without ROS: GLB meshes, Rerun recordings and the report page."""

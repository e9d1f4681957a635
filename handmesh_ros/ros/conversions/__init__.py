"""ROS messages to arrays and back; no node, no topics."""

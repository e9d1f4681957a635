"""rosbag2 bags and the detector run over them."""

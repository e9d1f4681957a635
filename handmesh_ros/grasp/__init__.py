"""What grasping and teleoperation ask of a hand; pure NumPy."""

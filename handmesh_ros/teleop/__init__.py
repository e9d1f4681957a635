"""What robots ask of a hand: gestures, grasp geometry, clutch, OpenXR joints."""

"""What robots ask of a hand: gestures, grasp geometry, clutch, retargeting, OpenXR joints."""

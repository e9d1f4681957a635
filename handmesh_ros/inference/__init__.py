"""Image to hands: detection, refinement on crops, and the fusion of their results."""

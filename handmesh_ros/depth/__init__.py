"""The metric scale of hands from a depth image that is aligned with the colour image."""

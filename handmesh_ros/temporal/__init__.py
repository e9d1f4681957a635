"""Hands over time: identity, smoothing and honest state; pure NumPy and SciPy."""

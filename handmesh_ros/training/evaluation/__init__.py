"""Metrics and the protocols that compare models."""

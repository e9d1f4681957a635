"""Hands over time: observations associated with tracks, filtered."""

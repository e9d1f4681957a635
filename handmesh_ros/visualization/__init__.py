"""Hands for people to see."""

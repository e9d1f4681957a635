"""Measurements on known truth and long runs; run from a checkout, not installed."""

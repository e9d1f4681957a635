"""Subcommands that make training data, train, judge and export networks."""

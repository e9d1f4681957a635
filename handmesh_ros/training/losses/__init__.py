"""Losses of the single-stage network: supervised, weak, priors."""

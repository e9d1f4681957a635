"""The single-stage network (torch)."""

"""Hands for people to see: drawn on images, as GLB, in Rerun, on a report page."""

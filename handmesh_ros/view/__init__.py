"""Drawing on images."""

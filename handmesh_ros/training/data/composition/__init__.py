"""Training images composed of photographs: cut-outs, backgrounds, whole images."""

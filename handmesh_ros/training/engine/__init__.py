"""The training loop, its stages and their checkpoints."""

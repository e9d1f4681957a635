"""Rendered training images of hands with exact truth: poses, scenes, the renderer, shards."""

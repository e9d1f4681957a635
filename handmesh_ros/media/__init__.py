"""Images and videos: found in folders, opened and read."""

"""What the node publishes besides the hands, made on demand."""

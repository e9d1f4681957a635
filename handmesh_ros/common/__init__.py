"""What every room may use: files, places of the user, optional imports, child processes."""

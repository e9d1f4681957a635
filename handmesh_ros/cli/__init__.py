"""The `handmesh` command: one module a subcommand."""

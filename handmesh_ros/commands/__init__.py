"""Subcommands of `handmesh` that belong to no other room."""

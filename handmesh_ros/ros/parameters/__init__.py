"""The node's parameters: schema, files, changes at run time."""

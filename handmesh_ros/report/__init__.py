"""`handmesh report`: one HTML page of what was found, and how good it is."""

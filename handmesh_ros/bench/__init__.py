"""`handmesh bench`: contestants in processes of their own, timed in turns on the same images."""

"""Hand lengths that users measured: the service and where they are kept."""

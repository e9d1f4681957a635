"""Image to hands: what is looked at, how closely, and how the readings are put together."""

"""From image to `Hands`: letterbox, exported graph on one of the backends, decoding."""

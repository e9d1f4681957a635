"""The offline training package: pip extra [train]."""

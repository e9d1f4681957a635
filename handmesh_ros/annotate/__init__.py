"""Hands of many videos as Parquet tables: segments, workers, joined tracks, resumable runs."""

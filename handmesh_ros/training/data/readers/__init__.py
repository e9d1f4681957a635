"""Labelled images of published data sets, label files and teachers."""

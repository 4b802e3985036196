"""Measurements, each started by one command. Not run by pytest: what they print depends on the machine."""

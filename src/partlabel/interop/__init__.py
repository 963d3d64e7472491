"""Doors to and from other people's files."""

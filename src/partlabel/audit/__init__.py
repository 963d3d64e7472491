"""Checks of a table, its photos and its labels."""

"""Verbs of the command line; `main.py` lists them. Each is a thin door, and imports what is heavy when it runs."""

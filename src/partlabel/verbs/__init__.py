"""Verbs of the command line that need no model; `cli.py` lists them. They import what is heavy when they run."""

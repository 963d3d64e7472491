"""Commands: a file here is one, and declares its group of the help (`_command.py`).

Each calls the package, and imports heavy modules when it runs.
"""

"""Commands; `main.py` lists them. Each calls the package, and imports heavy modules when it runs."""

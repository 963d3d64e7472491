"""`partlabel bench`: compare methods on the same images, hidden labels, features and budget.

`grid.py` describes what is compared (`grid_file.py` reads it), `cell.py` runs one cell of it, `runner.py` all of them,
resumable, `summary.py` aggregates results, `pages.py` writes tables and pages.
"""

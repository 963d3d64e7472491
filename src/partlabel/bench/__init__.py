"""`partlabel bench`: methods compared on the same photos, hidden labels, features and budget.

`grid.py` is what is compared, `cell.py` one run of it, `running.py` all runs, resumed where they stopped, `summary.py`
what they say together, `pages.py` how that looks.
"""

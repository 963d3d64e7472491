"""The codes of a label in memory: the one place that knows the numbers (see `labels.py` for what they mean)."""

PRESENT = 1
ABSENT = 0
UNKNOWN = -1

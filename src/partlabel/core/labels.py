"""The codes of a label in memory: the one place that knows the numbers (see `labels.py` for what they mean)."""

from typing import Literal

PRESENT = 1
ABSENT = 0
UNKNOWN = -1

Absent = Literal["unknown", "negative"]
"""What a class that is not mentioned means: nobody said, or somebody looked and it is not there."""

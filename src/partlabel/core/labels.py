"""The three values of a label; the only place that knows the numbers.

A *class* is a column of the label table; a *label* is one cell of it. In memory a label is an int8:

========  ==  ==========================================================
PRESENT    1  the class is in the image
ABSENT     0  an annotator looked for the class, and it is not in the image
UNKNOWN   -1  not annotated
========  ==  ==========================================================

Readers convert other conventions (the authors' 1 / -1 / 0, NaN, "not mentioned"); nothing else does.
"""

from typing import Literal

PRESENT = 1
ABSENT = 0
UNKNOWN = -1

Absent = Literal["unknown", "negative"]
"""Meaning of a class that is not mentioned: `unknown` (not annotated) or `negative` (annotated as absent)."""

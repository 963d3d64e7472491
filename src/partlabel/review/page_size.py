"""Range of the number of photos on a page of a review."""

FEWEST, MOST = 12, 48

"""From the parts of a table to trained weights."""

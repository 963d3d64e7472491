"""The label table: reading, writing, splitting, hiding and counting labels."""

"""The networks that the methods share: backbone, trunk, pair head."""

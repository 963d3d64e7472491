"""Networks that the methods share: backbone, heads, graph, pair head."""

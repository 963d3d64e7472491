"""Losses: one file is one loss, `(logits, Targets) -> scalar`."""

"""Foundations without project imports: label codes, targets, files, messages, registries."""

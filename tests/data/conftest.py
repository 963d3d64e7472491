"""Hypothesis without deadlines: the first example of a test imports things, and test machines are shared."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

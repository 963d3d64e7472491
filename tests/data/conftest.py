"""Hypothesis without deadlines: the first example of a test imports things, and test machines are shared."""

from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

"""Metrics on known labels, thresholds and calibration."""

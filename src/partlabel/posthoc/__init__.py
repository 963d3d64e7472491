"""Models fitted after training on held-out labels: thresholds, calibration, label completion."""

"""Where evidence about unknown labels comes from and where it is kept."""

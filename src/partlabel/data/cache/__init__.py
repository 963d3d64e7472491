"""The feature cache: frozen backbone outputs stored on disk."""

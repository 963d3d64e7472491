"""No text: texts that the table has, or that an earlier source gave, are dropped."""

DROPS = True


def recognises(source: str) -> bool:
    """Return whether the source is `none`."""
    return source == "none"

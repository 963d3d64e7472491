"""What the docstring of a method says of its paper: the one place where that is written down."""

import inspect
import re


def cite(docstring: str) -> tuple[str, str, str]:
    """Name, paper and year from a docstring that starts as `Structured transfer (Chen et al., AAAI 2022, ...).`."""
    first = summary(docstring)
    found = re.match(r"(?P<title>[^(]*?)\s*\((?P<paper>.*)\)", first)
    if not found:
        return first.rstrip("."), "", ""
    years = re.findall(r"(?<![\d.])((?:19|20)\d\d)(?![\d.])", found["paper"])
    return found["title"], found["paper"], years[0] if years else ""


def summary(docstring: str) -> str:
    """The first paragraph, in one line."""
    return inspect.cleandoc(docstring).split("\n\n")[0].replace("\n", " ")

"""Paper and summary of a method, read from its docstring, the only place where they are written."""

import inspect
import re


def cite(docstring: str) -> tuple[str, str, str]:
    """Extract name, paper and year from a docstring like `Structured transfer (Chen et al., AAAI 2022, ...).`."""
    first = summary(docstring)
    found = re.match(r"(?P<title>[^(]*?)\s*\((?P<paper>.*)\)", first)
    if not found:
        return first.rstrip("."), "", ""
    years = re.findall(r"(?<![\d.])((?:19|20)\d\d)(?![\d.])", found["paper"])
    return found["title"], found["paper"], years[0] if years else ""


def summary(docstring: str) -> str:
    """Extract the first paragraph, in one line."""
    return inspect.cleandoc(docstring).split("\n\n")[0].replace("\n", " ")

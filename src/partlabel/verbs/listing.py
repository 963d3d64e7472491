"""The verb `methods`: what there is to train with."""

import inspect
import re


def methods() -> None:
    """List the methods: paper, what each adds, what it needs."""
    from rich.console import Console
    from rich.table import Column, Table

    from partlabel import methods as folder
    from partlabel.nn import heads

    listing = Table(
        "--method", Column("name and paper", overflow="fold"), "year", "adds", "needs", show_lines=True
    )
    for name in folder.names():
        method = folder.get(name)
        title, paper, year = cite(method.__doc__ or "")
        listing.add_row(name, f"{title}\n[dim]{paper}[/dim]", year, method.adds, method.needs)
    headings = Table("--head", "what it is", "default of")
    for name in heads.names():
        users = [method for method in folder.names() if folder.get(method).default_head == name]
        headings.add_row(name, _summary(heads.get(name).__doc__ or ""), ", ".join(users))
    Console().print(
        listing, headings, "Their options: partlabel train --method NAME --head NAME --help", sep="\n"
    )


def cite(docstring: str) -> tuple[str, str, str]:
    """Name, paper and year from a docstring that starts as `Structured transfer (Chen et al., AAAI 2022, ...).`."""
    first = _summary(docstring)
    found = re.match(r"(?P<title>[^(]*?)\s*\((?P<paper>.*)\)", first)
    if not found:
        return first.rstrip("."), "", ""
    years = re.findall(r"(?<![\d.])((?:19|20)\d\d)(?![\d.])", found["paper"])
    return found["title"], found["paper"], years[0] if years else ""


def _summary(docstring: str) -> str:
    return inspect.cleandoc(docstring).split("\n\n")[0].replace("\n", " ")

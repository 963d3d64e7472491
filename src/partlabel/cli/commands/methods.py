"""Command `methods`: list the methods and heads."""


def methods() -> None:
    """List the methods: paper, addition to the head, requirements."""
    from rich.console import Console
    from rich.table import Column, Table

    from partlabel import methods as folder
    from partlabel.core.citations import cite, summary
    from partlabel.nn import heads

    listing = Table(
        "--method", Column("name and paper", overflow="fold"), "year", "adds", "needs", show_lines=True
    )
    for name in folder.names():
        method = folder.get(name)
        title, paper, year = cite(method.__doc__ or "")
        listing.add_row(name, f"{title}\n[dim]{paper}[/dim]", year, method.adds, method.needs)
    headings = Table("--head", "description", "default of")
    for name in heads.names():
        users = [method for method in folder.names() if folder.get(method).default_head == name]
        headings.add_row(name, summary(heads.get(name).__doc__ or ""), ", ".join(users))
    Console().print(
        listing, headings, "Options of each: partlabel train --method NAME --head NAME --help", sep="\n"
    )
